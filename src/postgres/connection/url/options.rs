//! The options that sqlx connects with.

use std::error::Error;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::encryption::Encryption;
use super::hosts::Address;
use super::parameters::Parameters;
use super::problem::Problem;

/// Returns the options for a server. sqlx receives a URL with known parameters only, in which it looks up the password
/// file.
pub(super) fn connect_options(
    base: &Url,
    address: &Address,
    parameters: &Parameters,
    encryption: &Encryption,
) -> Result<PgConnectOptions, Problem> {
    let mut url = base.clone();
    let user = match parameters.text("user") {
        // A variable supplies only what the URL omits.
        Some(_) if !url.username().is_empty() && is_variable(parameters, "user") => None,
        Some(user) => Some(user.to_owned()),
        None if url.username().is_empty() => Some(os_user()?),
        None => None,
    };
    let password =
        parameters.text("password").filter(|_| url.password().is_none() || !is_variable(parameters, "password"));
    let has_database = url.path().len() > 1;
    let database = parameters.text("dbname").filter(|_| !has_database || !is_variable(parameters, "dbname"));
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("host", &address.host).append_pair("port", &address.port.to_string());
        for (name, value) in [("user", user.as_deref()), ("password", password), ("dbname", database)] {
            value.map(|value| query.append_pair(name, value));
        }
        for (name, value) in &parameters.options {
            query.append_pair(name, value);
        }
    }
    let options = PgConnectOptions::from_str(url.as_str()).map_err(|error| {
        // Only the source: sqlx's own message is about a configuration, which an operator has never seen.
        let source = error.source().map(ToString::to_string);
        format!("the URL is not valid: {}", source.unwrap_or_else(|| error.to_string()))
    })?;
    let name = format!("strom/{} [{}]", env!("CARGO_PKG_VERSION"), std::process::id());
    let given = parameters.text("application_name").or(parameters.text("fallback_application_name"));
    let options = encryption.apply(options).application_name(given.unwrap_or(&name));
    let options = match parameters.statement_cache_capacity()? {
        Some(capacity) => options.statement_cache_capacity(capacity),
        None => options,
    };
    // Poolers reject this setting. It only affects floats in text format, and sqlx reads the binary format.
    Ok(if parameters.is_behind_pooler()? { options.extra_float_digits(None) } else { options })
}

fn is_variable(parameters: &Parameters, name: &str) -> bool {
    parameters.get(name).is_some_and(|given| given.is_variable)
}

/// Returns the user of the operating system, which libpq uses if neither the URL nor `PGUSER` names one.
fn os_user() -> Result<String, Problem> {
    whoami::username().map_err(|error| {
        Problem::new(
            format!("the URL contains no user, and the user of this process has no name: {error}"),
            "Name the user in the URL: `postgresql://user@host:5432/database`.",
        )
    })
}
