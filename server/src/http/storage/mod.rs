//! Calls to the repository on behalf of requests.
//!
//! | file | content |
//! |---|---|
//! | `read` | reads, which fall back to the last-known copy during an outage |
//! | `apply` | one change under the precondition of the request |
//! | `attempt` | the change that a client wants to make |
//! | `edit` | changes to an existing flow: read, change and write, until no other writer interferes |
//! | `edit_locks` | edits of one flow run one after the other |
//! | `merge` | edits of an older revision, merged with the current one |
//! | `conflict` | the problem of a failed change, with the current flow and the difference |
//! | `violations` | the violation that made a change fail |
//! | `blocking` | comparisons of large documents, outside of the async threads |

mod apply;
mod attempt;
mod blocking;
mod conflict;
mod edit;
mod edit_locks;
mod merge;
mod read;
mod violations;

pub(crate) use apply::{apply_if, put, version};
pub(crate) use attempt::{AttemptedChange, Edit};
pub(crate) use blocking::run_blocking;
pub(crate) use conflict::conflict_problem;
pub(crate) use edit::{EditRequest, store_edit};
pub(crate) use edit_locks::EditLocks;
pub(crate) use read::read;
