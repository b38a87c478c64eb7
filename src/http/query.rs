//! The query parameters of lists and exports.
//!
//! A parameter we do not know is refused: a misspelled filter that silently lists everything does harm. Names that begin
//! with `_` are passed over, because some clients append such ones to get around caches.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use url::form_urlencoded;

use super::problem::Problem;
use crate::repository::{Containment, Filter, InvalidCursor, ListQuery, NamePart};
use crate::transfer::Options;

/// The most flows on one page. Without `limit` there is no page and all flows come.
pub(super) const MAX_LIMIT: u32 = 10_000;

/// What to list, and how much of each flow to show.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) query: ListQuery,
    pub(super) view: View,
}

/// How much of each flow to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Full,
    Summary,
}

/// What to export.
#[derive(Debug, Default)]
pub(super) struct Export {
    pub(super) filter: Filter,
    pub(super) secrets: Secrets,
}

/// Whether passphrases and the like are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Secrets {
    #[default]
    Kept,
    Redacted,
}

impl Export {
    /// Reads the part of the address behind the `?`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut export = Self::default();
        for (name, value) in &parameters(text)? {
            match name.as_ref() {
                "secrets" => {
                    export.secrets = match value.as_ref() {
                        "kept" => Secrets::Kept,
                        "redacted" => Secrets::Redacted,
                        _ => return Err(Problem::parameter(name, "secrets are `kept` or `redacted`")),
                    }
                }
                _ if set_filter(&mut export.filter, name, value)? => {}
                _ => return Err(unknown(name)),
            }
        }
        Ok(export)
    }
}

/// A name and its value.
type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// All parameters, each given once, without those that are passed over.
pub(super) fn parameters(text: &str) -> Result<Vec<Parameter<'_>>, Problem> {
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()).filter(|(name, _)| !name.starts_with('_')) {
        if parameters.iter().any(|(seen, _)| *seen == name) {
            return Err(Problem::parameter(&name, "given twice"));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

pub(super) fn unknown(name: &str) -> Problem {
    Problem::parameter(name, "there is no such parameter")
}

/// Takes a parameter that is a filter; says whether it is one.
fn set_filter(filter: &mut Filter, name: &str, value: &str) -> Result<bool, Problem> {
    match name {
        "state" => filter.state = Some(value.parse().map_err(|error| Problem::parameter(name, error))?),
        "auto_restart" => filter.auto_restart = Some(boolean(name, value)?),
        "name" => filter.name = Some(NamePart::parse(value).map_err(|error| Problem::parameter(name, error))?),
        "contains" => {
            let json = Containment::parse(value).map_err(|refusal| Problem::parameter(name, refusal))?;
            filter.contains = Some(json);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// How an import is made; every parameter may be absent.
pub(super) fn import(text: &str) -> Result<Options, Problem> {
    let mut options = Options::default();
    for (name, value) in &parameters(text)? {
        match name.as_ref() {
            "on_conflict" => options.on_conflict = value.parse().map_err(|error| Problem::parameter(name, error))?,
            "dry_run" => options.dry_run = boolean(name, value)?,
            _ => return Err(unknown(name)),
        }
    }
    Ok(options)
}

impl Listing {
    /// Reads the part of the address behind the `?`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut listing = Self::default();
        for (name, value) in &parameters(text)? {
            listing.set(name, value)?;
        }
        match &listing.query.after {
            Some(cursor) if !cursor.belongs_to(&listing.query.sort) => {
                Err(Problem::parameter("cursor", "it belongs to a list with another `sort`"))
            }
            _ => Ok(listing),
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
                    _ => return Err(Problem::parameter(name, "a view is `full` or `summary`")),
                }
            }
            _ if set_filter(&mut self.query.filter, name, value)? => {}
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

pub(super) fn boolean(name: &str, value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| Problem::parameter(name, "either `true` or `false`"))
}

/// A number in these bounds.
pub(super) fn number(name: &str, value: &str, bounds: RangeInclusive<u64>) -> Result<u64, Problem> {
    let number = value.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| Problem::parameter(name, format!("a number from {} to {}", bounds.start(), bounds.end())))
}
