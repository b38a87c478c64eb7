//! The interface of the store: [`FlowRepository`], its types, and the contract that every backend fulfils.
//!
//! # The contract
//!
//! 1. **Atomic and durable.** A call that returns `Ok` has made all its changes, and they survive a crash. A call that
//!    returns an error has made none of them. The only exception is [`RepositoryError::Unavailable`] with
//!    `outcome_unknown`: a lost connection can leave the outcome of a write open. Dropping the future does not cancel a
//!    write that has started.
//! 2. **Preconditions instead of transactions.** Several changes are one call of [`apply`](FlowRepository::apply): all
//!    or nothing. A caller that must not overwrite another change states a [`Precondition`]. The store checks it under
//!    the same lock as the write.
//! 3. **Revisions.** The [`Revision`] of a flow increases by one with each change to what people write, including its
//!    deletion. It never restarts, not even if the id is created again. A change to runtime members only is stored and
//!    creates no revision, so a writer that changes a part of a document it has read requires the exact document
//!    ([`Precondition::exactly`]). A flow that is [adopted](Change::Adopt) from another store keeps its revision.
//! 4. **Fidelity.** Documents are returned equal: with every member and every number, known or unknown. The order of
//!    members may differ.
//! 5. **Total order.** Lists have the same order in every backend. Names compare by their UTF-8 bytes, and flows with
//!    equal keys by id; see [`Sort`].
//! 6. **No clock, no randomness.** Times and ids are arguments. Times have a precision of microseconds. `created_at`
//!    never changes, `updated_at` changes with the revision. An adopted flow keeps both.
//! 7. **Outcomes.** Absence is `None`. Errors are outcomes that a caller can act on; see [`RepositoryError`]. A stream is
//!    complete only if it ends without an error.
//! 8. **History.** Every revision leaves a [`Record`] with its document in the [history](FlowRepository::history) of the
//!    flow, whether the flow exists or was deleted. Records are retained as long as [`Retention`] requires. A report is
//!    state and no history: the [change feed](FlowRepository::changes) contains the newest report of a flow until the flow
//!    changes again, with the current document. One exception: a report that a person edits into a JSON file is visible
//!    without a record.
//! 9. **Ordered, complete feed.** A reader that continues from its last cursor receives every revision exactly once, in
//!    one order for all readers, and never a change that can still be rolled back. The changes of one call are
//!    adjacent. The changes of one flow are in the order of its revisions. The feed omits reports after which their flow
//!    has changed again, and old revisions that have [thinned out](Retention). So a reader that copies documents ends with
//!    the same copy. A reader that is behind a record whose age has exceeded its limit receives
//!    [`RepositoryError::Gone`].
//! 10. **A close reports what it left undone.** [`close`](FlowRepository::close) returns
//!     [`RepositoryError::Incomplete`] if a file that other programs read lacks acknowledged changes.
//!
//! Backends do not treat ephemeral flows in a special way. [`ephemeral`](crate::ephemeral) documents how that decorator
//! changes the contract for them.
//!
//! # Writing a backend
//!
//! Implement [`FlowRepository`]. `examples/third_backend` in the repository of this crate is a complete backend in
//! memory that uses only the public API; start from a copy. These parts are ready to use:
//!
//! | task | item |
//! |---|---|
//! | validate a call | [`check_ids`], [`check_preconditions`] |
//! | detect new content | [`Flow::hash`](crate::Flow::hash) without runtime members |
//! | time and author of a change | [`Stamp::at`], [`Stamp::author`] |
//! | adopt flows and histories | [`Version::adopted`], [`Chronicle::records`], [`Chronicle::creation_times`] |
//! | lists of flows in memory | [`listing::list`](crate::listing::list) |
//! | thin out old revisions | [`Retention::thins_out`] |
//! | filters | [`listing::Matcher`](crate::listing::Matcher), [`NamePart::matches`] |
//! | cursors | [`Cursor::behind`], [`FeedCursor::new`] |
//! | streams that a task produces | [`produce`] |
//! | stored times that no change can have | [`TIME_LIMITS`] |
//!
//! The feature `testkit` contains the contract as test functions. `strom_store::contract_tests!` and
//! `strom_store::retention_tests!` create a test for each of them.
//!
//! # Stability
//!
//! Structs that the store returns and enums that callers match are `#[non_exhaustive]`, with a constructor for
//! backends. Types that a backend must handle completely ([`Change`], [`Precondition`], [`ViolationKind`], [`Since`],
//! [`SortField`], [`Operation`], [`Outcome`], [`Stored`], [`Version`]) are exhaustive: another variant or field is a
//! breaking change. [`ListQuery`], [`Filter`] and [`Retention`] are exhaustive, so that callers can write
//! `..Default::default()`.

mod change;
mod change_list;
mod chronicle;
mod containment;
mod cursor;
mod error;
mod ext;
mod feed;
mod feed_cursor;
mod flow_repository;
mod health;
mod invalid_query;
mod measurement;
mod name_part;
mod precondition;
mod produce;
mod query;
mod record;
mod retention;
mod revision;
mod save;
mod sort;
mod stamp;
mod stored;
mod time_limits;

pub use change::{Applied, Change, Outcome};
pub use change_list::{ChangeList, check_ids, check_preconditions};
pub use chronicle::{Chronicle, InvalidChronicle};
pub use containment::Containment;
pub use cursor::{Cursor, InvalidCursor};
pub use error::{OpenError, RepositoryError, Result};
pub use ext::FlowRepositoryExt;
pub use feed::{Feed, FeedLag, Since};
pub use feed_cursor::{FeedCursor, InvalidFeedCursor};
pub use flow_repository::FlowRepository;
pub use health::{Health, Status};
pub use invalid_query::InvalidQuery;
pub use measurement::{Measurement, MeasurementKind};
pub use name_part::NamePart;
pub use precondition::{Precondition, Violation, ViolationKind};
pub use produce::{EndedEarly, produce};
pub use query::{Filter, ListQuery, Page};
pub use record::{Operation, Record, UnknownOperation};
pub use retention::Retention;
#[cfg(any(feature = "postgres", feature = "json"))]
pub(crate) use retention::{THINNING, Thinning};
pub use revision::{InvalidRevision, Revision};
pub use save::Saved;
pub use sort::{Sort, SortField, SortKey};
pub use stamp::{Author, Stamp};
pub use stored::{Stored, Version};
#[cfg(feature = "postgres")]
pub(crate) use time_limits::limited;
pub use time_limits::{TIME_LIMITS, is_beyond_limits};
