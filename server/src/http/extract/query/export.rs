//! The parameters of `GET /api/flows/export`.

use strom_store::repository::Filter;

use super::filter::set_filter;
use super::parameters::{parameters, unknown};
use crate::http::respond::Problem;

/// The flows to export.
#[derive(Debug, Default)]
pub(crate) struct ExportQuery {
    pub(crate) filter: Filter,
    pub(crate) secrets: Secrets,
}

/// Whether an export contains passphrases and other secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Secrets {
    #[default]
    Kept,
    Redacted,
}

impl ExportQuery {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut export = Self::default();
        for (name, value) in &parameters(query)? {
            match name.as_ref() {
                "secrets" => {
                    export.secrets = match value.as_ref() {
                        "kept" => Secrets::Kept,
                        "redacted" => Secrets::Redacted,
                        _ => return Err(Problem::parameter(name, "must be `kept` or `redacted`")),
                    }
                }
                _ if set_filter(&mut export.filter, name, value)? => {}
                _ => return Err(unknown(name)),
            }
        }
        Ok(export)
    }
}
