//! The names and values of a query, and the parsers of single values.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use strom_store::repository::Revision;
use url::form_urlencoded;

use crate::http::respond::Problem;

/// A name and its value.
type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Returns all parameters except ignored ones. Rejects a repeated name.
pub(super) fn parameters(query: Option<&str>) -> Result<Vec<Parameter<'_>>, Problem> {
    let query = query.unwrap_or_default().as_bytes();
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    for (name, value) in form_urlencoded::parse(query).filter(|(name, _)| !name.starts_with('_')) {
        if parameters.iter().any(|(seen, _)| *seen == name) {
            return Err(Problem::parameter(&name, "the parameter occurs twice"));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

pub(super) fn unknown(name: &str) -> Problem {
    Problem::parameter(name, "unknown parameter")
}

pub(super) fn boolean(name: &str, value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| Problem::parameter(name, "must be `true` or `false`"))
}

pub(super) fn number(name: &str, value: &str, bounds: RangeInclusive<u64>) -> Result<u64, Problem> {
    let number = value.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        Problem::parameter(name, format!("must be a number from {} to {}", bounds.start(), bounds.end()))
    })
}

/// Parses the number of a revision. Revisions are bigints in PostgreSQL.
pub(crate) fn revision(name: &str, value: &str) -> Result<Revision, Problem> {
    Ok(Revision::new(number(name, value, 1..=i64::MAX as u64)?))
}
