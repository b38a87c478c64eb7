//! Requests: ids, bodies, query parameters and preconditions.
//!
//! | file | content |
//! |---|---|
//! | `body` | bodies with one JSON document or patch |
//! | `body_budget` | the memory that bodies may use |
//! | `import_body` | bodies with many documents |
//! | `media_type` | the headers `Content-Type`, `Content-Encoding` and `Accept` |
//! | `flow_id` | the id in a path |
//! | `precondition`, `entity_tag` | `If-Match` and `If-None-Match` |
//! | `query` | query parameters |
//! | `parameters`, `parameter_builders` | descriptions of parameters, which `utoipa::path` annotations name |

pub(crate) mod body;
mod body_budget;
pub(crate) mod entity_tag;
mod flow_id;
pub(crate) mod import_body;
pub(crate) mod media_type;
pub(crate) mod parameter_builders;
pub(crate) mod parameters;
mod precondition;
pub(crate) mod query;

pub(crate) use body::{JsonText, Patch, PatchKind, decode};
pub(crate) use body_budget::BodyBudget;
pub(crate) use entity_tag::client_has;
pub(crate) use flow_id::PathId;
pub(crate) use media_type::accepts;
pub(crate) use precondition::RequestPrecondition;
