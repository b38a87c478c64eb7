//! Every response that is not a success: a problem document (RFC 9457) with the additional members `error` and `details`.
//! Clients that are older than the RFC read these.
//!
//! | file | content |
//! |---|---|
//! | `document` | the problem, its details and its response |
//! | `status` | the table of kinds: status code, type and title |
//! | `from_error` | the kind of each error of the repository, the parser and the patches |
//! | `from_import` | the kind of each error of an import body |
//! | `of_read` | the wording of problems of reads |
//! | `body`, `divergence` | the JSON members |
//!
//! The server logs what a storage reports. A response never contains it.

mod body;
mod divergence;
mod document;
mod from_error;
mod from_import;
mod of_read;
mod status;

pub(crate) use body::{Conflicts, CurrentFlow, Deletion, ProblemBody};
pub(crate) use divergence::Divergence;
pub(crate) use document::{MEDIA_TYPE, Problem, RouteResult};
pub(crate) use from_error::RESYNC_HINT;
pub(crate) use of_read::word_for_reads;
pub(crate) use status::ProblemKind;
