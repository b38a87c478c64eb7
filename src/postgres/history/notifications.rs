//! Wakes readers that wait for changes: at once for changes of this instance, on a notification for others.
//!
//! A notification only says that the table has changed. The table is authoritative, and waiting readers also read it
//! once a second (changes.rs). So a lost connection, a pooler without notifications, or an instance that dies between
//! its commit and its notification delay a reader by a second at most.
//!
//! Commits of an instance send no notification, because those commits would wait for each other's sync (migrations/0006
//! has the figures). A task sends one notification for all commits since the last one, and no save waits for it.
//! Triggers send the notifications of foreign writers and of older versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use sqlx::PgConnection;
use tokio::sync::watch;

use crate::background::End;
use crate::postgres::connection::Pool;
use crate::postgres::error::Result;

/// The channel that the trigger of migrations/0006 names.
pub(super) const CHANNEL: &str = "strom_changes";
/// Minimum time between two notifications, so that many commits cost one statement. Readers barely notice it.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(20);

/// The readers that wait for changes, and the signals that wake them.
#[derive(Debug, Default)]
pub(crate) struct Notifications {
    /// The approximate number of bytes of all documents that calls of this instance may have stored.
    local_changes: watch::Sender<u64>,
    /// Signals that any writer may have made changes.
    pub(super) wakeups: watch::Sender<()>,
    /// Number of waiting readers.
    pub(super) waiters: watch::Sender<usize>,
    /// The server process of the listening connection, or 0. It ignores the notifications of this instance.
    pub(super) listener_pid: AtomicI32,
}

/// A waiting reader. The instance listens for notifications while there is one.
#[derive(Debug)]
pub(crate) struct Waiter {
    notifications: Arc<Notifications>,
    wakeups: watch::Receiver<()>,
}

impl Waiter {
    /// Waits until there may be new changes since the last call, or since the reader began to wait.
    pub(super) async fn woken(&mut self) {
        // Never fails: `notifications` owns the sender.
        let _ = self.wakeups.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.notifications.waiters.send_modify(|count| *count -= 1);
    }
}

impl Notifications {
    /// Registers a waiting reader.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiter {
        self.waiters.send_modify(|count| *count += 1);
        Waiter { notifications: Arc::clone(self), wakeups: self.wakeups.subscribe() }
    }

    /// Wakes the readers of this instance, and has other instances notified. `bytes` is the approximate size of the documents.
    pub(crate) fn announce_local_changes(&self, bytes: usize) {
        self.wakeups.send_replace(());
        self.local_changes.send_modify(|total| *total += bytes as u64);
    }

    /// Returns the total of [`announce_local_changes`](Self::announce_local_changes), which changes with every call.
    pub(crate) fn local_changes(&self) -> watch::Receiver<u64> {
        self.local_changes.subscribe()
    }

    /// Sends notifications about the changes of this instance, as a background task.
    pub(crate) async fn notify_others(self: Arc<Self>, pool: Arc<Pool>) -> End {
        let mut local_changes = self.local_changes.subscribe();
        while local_changes.changed().await.is_ok() {
            let listener_pid = self.listener_pid.load(Ordering::Relaxed);
            if let Err(error) = pool.run(move |connection| notify(connection, listener_pid).boxed()).await {
                tracing::debug!(%error, "cannot notify other instances; their readers poll");
            }
            tokio::time::sleep(NOTIFY_INTERVAL).await;
        }
        End::Unexpected
    }
}

/// Sends a notification. Its payload is the process that ignores it.
async fn notify(connection: &mut PgConnection, listener_pid: i32) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, ($2::INTEGER)::TEXT)", CHANNEL, listener_pid).fetch_one(connection).await?;
    Ok(())
}
