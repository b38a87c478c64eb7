//! Ephemeral flows: flows with `"properties": {"ephemeral": true}`, which exist in memory only.
//!
//! They are scratch flows of an engine or an operator. [`Ephemeral`] decorates any repository. It serves ephemeral
//! flows together with stored ones, through the same calls and with the same preconditions. It never writes them to
//! the storage, and they end with the process. All other flows pass through.
//!
//! | module | content |
//! |---|---|
//! | `scratch` | the flows in memory, the effect of changes, and the memory budget |
//! | `plan` | divides a call into a part for memory and a part for the storage |
//! | `apply` | applies both parts or none |
//! | `permits` | exclusive access of a call to its flows |
//! | `reading`, `each` | memory and storage as one repository |
//!
//! # Differences from the contract
//!
//! The contract (see [`repository`](crate::repository)) applies with these exceptions:
//!
//! - **Durability** (1): ephemeral flows are not durable. A call is still all or nothing over memory and storage.
//! - **Revisions** (3) increase by one. They start above 2^40 at a number derived from the start time of the process,
//!   and stay below 2^53, the largest exact integer in JavaScript. Stored flows count from 1. So a revision never
//!   identifies two contents, in this process or a later one, and an `If-Match` never matches content that its sender
//!   has not seen. A flow that moves into the storage gets a smaller revision than before.
//! - **History** (8) contains the current revision of an ephemeral flow, on top of what the storage has for the id.
//!   Earlier revisions and deleted flows are forgotten.
//! - **The feed** (9) and **snapshots** contain stored flows only. A flow that becomes ephemeral is deleted there, and
//!   one that is stored again is created. So exports, copies and feed readers do not see ephemeral flows: a feed that
//!   can be resumed cannot contain what a restart forgets.
//!
//! # Moving between memory and storage
//!
//! Saving a stored flow with `ephemeral: true` deletes it from the storage, whose history keeps it. In memory it keeps
//! its time of creation. Saving an ephemeral flow without it creates the flow in the storage and then removes it from
//! memory. For the storage it is a new flow, created at the time of the save. For the caller both are replacements.
//!
//! A flow that another writer has stored with `ephemeral: true` (by SQL, by hand or with an older version) is served
//! as stored, and an engine can report to it. The next change to its content through this interface moves it into
//! memory.
//!
//! # Several writers of one storage
//!
//! Each instance has its own ephemeral flows. Another instance can store a flow under the id of an ephemeral one. This
//! instance then shows the ephemeral flow until it is deleted. Saving it without `ephemeral: true` replaces the stored
//! flow, which the history keeps.
//!
//! During an outage of the storage, ephemeral flows can be read and changed. They cannot be created, because the id
//! may be in use, and no flow can move between memory and storage.
//!
//! A call fails if the documents would exceed the memory budget, [`MEMORY_BUDGET`] by default. Do not decorate a
//! repository that was opened read-only: it must reject every change.

mod apply;
mod decorator;
mod each;
mod permits;
mod plan;
mod reading;
mod scratch;

pub use decorator::{Ephemeral, MEMORY_BUDGET};
