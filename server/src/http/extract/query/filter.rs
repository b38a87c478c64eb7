//! The filters of lists and exports.

use strom_store::repository::{Containment, Filter, NamePart};

use super::parameters::boolean;
use crate::http::respond::Problem;

/// Sets the filter of this name. Returns `false` if there is no such filter.
pub(super) fn set_filter(filter: &mut Filter, name: &str, value: &str) -> Result<bool, Problem> {
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
