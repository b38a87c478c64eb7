//! `strom openapi`: the OpenAPI document of a server that wants a key, without a server.

use super::output::say;
use super::{Answer, Failure};

pub(super) fn run() -> Result<Answer, Failure> {
    let document = serde_json::to_string_pretty(&strom::http::openapi());
    say(&document.map_err(|error| Failure::Output(error.into()))?)?;
    Ok(Answer::Done)
}
