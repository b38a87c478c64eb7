//! Calls that wait for a lock. Each call occupies a connection.

use std::sync::Arc;

use sqlx::PgConnection;
use strom_store::internals::samples::id;
use strom_store::repository::{Result, Stored};
use strom_store::{Flow, FlowRepository};
use tokio::task::JoinHandle;

use super::postgres::{Database, run, wait_for_count};

pub struct Blocked {
    /// Calls that read flow 1.
    pub calls: Vec<JoinHandle<Result<Option<Stored<Flow>>>>>,
    blocker: PgConnection,
}

impl Blocked {
    /// Locks the table and starts this number of calls. Returns when all of them wait for the lock.
    pub async fn behind_a_lock(database: &Database, repository: &Arc<dyn FlowRepository>, count: u32) -> Self {
        let mut blocker = database.connect().await;
        // A second session, because the activity view does not change inside a transaction.
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

    pub async fn release(&mut self) {
        run(&mut self.blocker, "ROLLBACK").await;
    }
}
