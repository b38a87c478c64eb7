//! `strom openapi`: prints the OpenAPI document of a server that requires a key.

use super::answer::Answer;
use super::failure::Failure;
use super::output::print;

pub(super) fn run() -> Result<Answer, Failure> {
    let document = serde_json::to_string_pretty(&strom_server::http::openapi());
    print(&document.map_err(|error| Failure::Output(error.into()))?)?;
    Ok(Answer::Done)
}
