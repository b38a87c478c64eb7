//! The parameters of `GET /api/flows`.

use strom_store::repository::{InvalidCursor, ListQuery};

use super::filter::set_filter;
use super::parameters::{boolean, number, parameters, unknown};
use crate::http::respond::Problem;

/// Maximum number of flows on a page. A list without `limit` has no pages and contains all flows.
pub(crate) const MAX_LIMIT: u32 = 10_000;

/// The flows to list, and the view of each.
#[derive(Debug, Default)]
pub(crate) struct FlowListQuery {
    pub(crate) query: ListQuery,
    pub(crate) view: View,
}

/// The form of each flow in a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// The whole document.
    #[default]
    Full,
    /// The summary.
    Summary,
}

impl FlowListQuery {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut list = Self::default();
        for (name, value) in &parameters(query)? {
            list.set(name, value)?;
        }
        match &list.query.after {
            Some(cursor) if !cursor.belongs_to(&list.query.sort) => {
                Err(Problem::parameter("cursor", "the cursor belongs to a list with another `sort`"))
            }
            _ => Ok(list),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "sort" => self.query.sort = value.parse().map_err(|error| Problem::parameter(name, error))?,
            "limit" => self.query.limit = Some(number(name, value, 1..=u64::from(MAX_LIMIT))? as u32),
            "cursor" => {
                let cursor = value.parse().map_err(|error: InvalidCursor| Problem::parameter(name, error))?;
                self.query.after = Some(cursor);
            }
            "count" => self.query.count = boolean(name, value)?,
            "view" => {
                self.view = match value {
                    "full" => View::Full,
                    "summary" => View::Summary,
                    _ => return Err(Problem::parameter(name, "must be `full` or `summary`")),
                }
            }
            _ if set_filter(&mut self.query.filter, name, value)? => {}
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}
