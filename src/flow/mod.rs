//! The flow document: its parser, canonical form, head, warnings, differences and patches. No I/O.
//!
//! A [`Flow`] is a parsed [`Head`] and the lossless text. The text never passes through `serde_json::Value`, which rounds
//! numbers. [`Flow::decode`] returns a typed view.
//!
//! One validator protects both backends. It rejects what either backend cannot store, because a failed move between
//! backends is worse than a rejected save. Everything else is stored, including unknown members. A [`Warning`] names what
//! looks wrong and can be stored.

mod claims;
mod difference;
mod document;
mod draft;
mod edit;
mod head;
mod json_patch;
mod keys;
mod limits;
mod location;
mod merge;
mod merge_patch;
mod node;
mod number;
mod parser;
mod print;
mod quote;
mod redaction;
mod refusal;
mod report;
mod runtime;
mod warnings;

pub use claims::Claim;
pub use difference::{ChangeKind, Difference, MAX_LISTED, MemberChange};
pub use document::{Examined, Flow};
pub use draft::Draft;
pub use head::{FlowId, GstState, Head, UnknownState};
pub use json_patch::{MAX_OPERATIONS, PatchError};
pub use limits::{MAX_DEPTH, MAX_NAME, MAX_SIZE};
pub use merge::{Conflict, MergeError};
pub(crate) use node::Node;
pub(crate) use number::Decimal;
pub use redaction::REDACTED;
pub use refusal::{Path, Reason, Refusal};
pub use runtime::Runtime;
pub use warnings::{Suspicion, Warning};
