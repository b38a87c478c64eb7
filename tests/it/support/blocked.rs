//! Calls that wait for a lock, each with a connection of its own.

use std::sync::Arc;

use sqlx::PgConnection;
use strom::repository::{Result, Stored};
use strom::testkit::samples::id;
use strom::{Flow, FlowRepository};
use tokio::task::JoinHandle;

use super::postgres::{Database, run, wait_for_count};

pub(crate) struct Blocked {
    /// They ask for the flow 1.
    pub(crate) calls: Vec<JoinHandle<Result<Option<Stored<Flow>>>>>,
    blocker: PgConnection,
}

impl Blocked {
    /// Returns when so many wait.
    pub(crate) async fn behind_a_lock(database: &Database, repository: &Arc<dyn FlowRepository>, count: u32) -> Self {
        let mut blocker = database.connect().await;
        // Another session: inside a transaction the activity view stands still.
        let mut observer = database.connect().await;
        run(&mut blocker, "BEGIN; LOCK TABLE flows IN ACCESS EXCLUSIVE MODE").await;
        let call = |_| {
            let repository = Arc::clone(repository);
            tokio::spawn(async move { repository.get(id(1)).await })
        };
        let calls = (0..count).map(call).collect();
        let locked =
            "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        wait_for_count(&mut observer, locked, count.into()).await;
        Self { calls, blocker }
    }

    pub(crate) async fn release(&mut self) {
        run(&mut self.blocker, "ROLLBACK").await;
    }
}
