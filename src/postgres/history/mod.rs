//! The table `flow_changes`: revisions, the change feed, and retention.

mod bounds;
mod changes;
mod lag;
mod listener;
mod notifications;
mod pace;
mod record;
mod retention;
mod revisions;
mod thinning;

pub(super) use changes::{changed, changes, summaries};
pub(super) use lag::feed_lag;
pub(super) use notifications::Notifications;
pub(super) use pace::Pace;
pub(super) use retention::{Round, delete_expired_periodically};
pub(super) use revisions::{deleted, histories, history, revision};
