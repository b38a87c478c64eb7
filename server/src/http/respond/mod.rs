//! Responses: flows, lists, problems and streamed bodies, and their descriptions for the OpenAPI document.
//!
//! | file | content |
//! |---|---|
//! | `flow` | one flow with its `ETag` and warnings |
//! | `flow_list`, `summary` | lists of flows; a flow without its document |
//! | `validators` | `ETag` and `Last-Modified` of lists |
//! | `history`, `merge`, `warning` | the other shapes of successful responses |
//! | `problem` | every response that is not a success, and the status codes of errors |
//! | `encoding` | `Accept-Encoding`, and the entity tags of compressed responses |
//! | `chunks` | bodies that the server sends in small chunks |
//! | `memory_budget` | the memory that lists may use until clients have read them |
//! | `cache`, `stale_header`, `policy` | the headers `Cache-Control` and `Strom-Stale`; headers of every response |
//! | `description` | schemas, examples and responses that `utoipa::path` annotations name |

mod cache;
pub(crate) mod chunks;
pub(crate) mod description;
mod encoding;
mod flow;
mod flow_list;
mod history;
mod memory_budget;
mod merge;
mod policy;
mod problem;
mod stale_header;
mod summary;
mod validators;
mod warning;

pub(crate) use cache::{NO_STORE, PRIVATE_NO_CACHE, PRIVATE_NO_STORE};
pub(crate) use encoding::negotiate_encoding;
pub(crate) use flow::{created_flow, flow, flow_not_modified, merged_flow, saved_flow};
pub(crate) use flow_list::{flows, flows_validators, summaries, summaries_validators};
pub use history::{DeletedFlow, HistoryEntry, Trash};
pub(crate) use history::{FlowHistory, RevisionBody};
pub(crate) use memory_budget::{MemoryBudget, kibibytes};
pub(crate) use merge::Merge;
pub(crate) use policy::add_policies;
pub(crate) use problem::{
    Conflicts, CurrentFlow, Deletion, Divergence, MEDIA_TYPE, Problem, ProblemBody, ProblemKind, RESYNC_HINT,
    RouteResult, word_for_reads,
};
pub(crate) use stale_header::StaleHeader;
pub use summary::Summary;
pub(crate) use validators::json_list;
pub(crate) use warning::{WarningBody, Warnings};
