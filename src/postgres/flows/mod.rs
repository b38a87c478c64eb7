//! The table `flows`: reads, writes, group commit, and the upkeep of its indexes.

mod adopt;
mod apply;
mod batch;
mod batch_upsert;
mod direct;
mod faults;
mod get;
mod group_commit;
mod inherit;
mod list;
mod obstacles;
mod outcomes;
mod pending_list;
mod row;
mod save;
mod save_queue;
mod snapshot;
mod trigram_index;
mod violations;
mod write;

pub(super) use apply::apply;
pub(super) use faults::faults;
#[cfg(feature = "testkit")]
pub(super) use get::begin_transaction;
pub(super) use get::get;
pub(super) use group_commit::GroupCommit;
pub(super) use list::{list, summaries};
pub(super) use pending_list::clean_pending_lists;
pub(super) use row::{corrupt, head, revision_column, revision_of};
pub(super) use save::Save;
pub(super) use snapshot::{get_each, snapshot};
pub(super) use trigram_index::build_trigram_index;
