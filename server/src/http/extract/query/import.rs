//! The parameters of `POST /api/flows/import`.

use super::parameters::{boolean, parameters, unknown};
use crate::http::respond::Problem;
use crate::transfer::Options;

/// Parses the options of an import. All parameters are optional.
pub(crate) fn import_options(query: Option<&str>) -> Result<Options, Problem> {
    let mut options = Options::default();
    for (name, value) in &parameters(query)? {
        match name.as_ref() {
            "on_conflict" => options.on_conflict = value.parse().map_err(|error| Problem::parameter(name, error))?,
            "dry_run" => options.dry_run = boolean(name, value)?,
            _ => return Err(unknown(name)),
        }
    }
    Ok(options)
}
