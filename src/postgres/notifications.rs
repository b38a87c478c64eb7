//! Wakes who waits for changes: those made here at once, those of others when a notification comes.
//!
//! A notification says nothing but "look": the table is the truth, and whoever waits looks at it once a second as well
//! (changes.rs). So a connection that is lost, a pooler that passes no notification and an instance that dies between its
//! commit and its notification cost a second at most.
//!
//! Our own commits do not notify, since that would have them wait for each other's sync (migrations/0006 has the figures).
//! A task does it after them, for all that were made meanwhile, and no save waits for it. psql and an older Strom notify by
//! a trigger.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use sqlx::PgConnection;
use sqlx::postgres::PgListener;
use tokio::sync::watch;

use super::error::{Result, unavailable};
use super::pool::Pool;

/// The channel, as the trigger of migrations/0006 names it.
const CHANNEL: &str = "strom_changes";
/// One notification at most in this time: others are woken as good as at once, and all that we commit meanwhile costs one
/// statement.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long a connection is held for nobody: who follows the feed reads and waits in turn.
const LINGER: Duration = Duration::from_secs(5);
/// How often a connection that brings nothing is asked whether it is still there, and how long it may take to answer. A
/// network that swallows everything says nothing by itself.
const KEEPALIVE: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(2);
/// After which a lost connection is replaced; then twice as long each time. One that has lasted for the longest pause
/// begins at the first again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Who waits, and what wakes them.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    /// A call has ended that may have made changes.
    made: watch::Sender<()>,
    /// That, or somebody else may have made some.
    heard: watch::Sender<()>,
    waiting: watch::Sender<usize>,
    /// The server's process that we listen on, or 0. What we tell others need not come back to us.
    listener: AtomicI32,
}

/// Somebody who waits. Notifications are listened to as long as there is one.
#[derive(Debug)]
pub(super) struct Waiting {
    notifications: Arc<Notifications>,
    heard: watch::Receiver<()>,
}

impl Waiting {
    /// Returns when there may be changes that were not there when it was last called, or when waiting began.
    pub(super) async fn woken(&mut self) {
        // The sender lives in what we hold.
        let _ = self.heard.changed().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.notifications.waiting.send_modify(|count| *count -= 1);
    }
}

impl Notifications {
    /// Begins to wait.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.send_modify(|count| *count += 1);
        Waiting { notifications: Arc::clone(self), heard: self.heard.subscribe() }
    }

    /// Wakes who waits here, and has others told.
    pub(super) fn changes_made(&self) {
        self.heard.send_replace(());
        self.made.send_replace(());
    }

    /// Sees every call that may have made changes here.
    pub(super) fn made(&self) -> watch::Receiver<()> {
        self.made.subscribe()
    }

    /// Tells others what was made here. Ends with its task.
    pub(super) async fn tell(self: Arc<Self>, pool: Arc<Pool>) {
        let mut made = self.made.subscribe();
        while made.changed().await.is_ok() {
            let listener = self.listener.load(Ordering::Relaxed);
            if let Err(error) = pool.run(move |connection| notify(connection, listener).boxed()).await {
                tracing::debug!(%error, "others are not told of changes and find them by themselves");
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }

    /// Listens to others as long as anybody waits. Ends with its task.
    pub(super) async fn listen(self: Arc<Self>, pool: Arc<Pool>) {
        let mut waiting = self.waiting.subscribe();
        let mut pause = FIRST_PAUSE;
        while waiting.wait_for(|count| *count > 0).await.is_ok() {
            let began = Instant::now();
            let ended = self.hear(&pool, &mut waiting).await;
            self.listener.store(0, Ordering::Relaxed);
            // What was told between the end and the next beginning is lost.
            self.heard.send_replace(());
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            if let Err(error) = ended {
                tracing::debug!(%error, "notifications cannot be heard");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Listens until nobody has waited for a while.
    async fn hear(&self, pool: &Arc<Pool>, waiting: &mut watch::Receiver<usize>) -> Result<()> {
        let (mut listener, _turn) = pool.listener().await?;
        listener.listen(CHANNEL).await?;
        let own = process(&mut listener).await?;
        self.listener.store(own, Ordering::Relaxed);
        // What was told before is lost.
        self.heard.send_replace(());
        let own = own.to_string();
        let mut nobody_waits = pin!(nobody_waits(waiting));
        loop {
            tokio::select! {
                told = listener.try_recv() => match told? {
                    Some(told) if told.payload() == own => {}
                    Some(_) => self.heard.send_replace(()),
                    None => return Err(unavailable("the connection was lost").into()),
                },
                () = tokio::time::sleep(KEEPALIVE) => {
                    let asking = tokio::time::timeout(ANSWER, process(&mut listener)).await;
                    asking.map_err(|_| unavailable(format!("no answer within {} s", ANSWER.as_secs())))??;
                }
                () = &mut nobody_waits => return Ok(()),
                // The next server may be another one, while this one goes on answering.
                reason = pool.breaker.opened() => return Err(unavailable(reason).into()),
            }
        }
    }
}

async fn nobody_waits(waiting: &mut watch::Receiver<usize>) {
    loop {
        // The sender lives as long as we do.
        let _ = waiting.wait_for(|count| *count == 0).await;
        let again = tokio::time::timeout(LINGER, waiting.wait_for(|count| *count > 0)).await.is_ok();
        if !again {
            return;
        }
    }
}

/// Names the process that need not hear it.
async fn notify(connection: &mut PgConnection, listener: i32) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, ($2::INTEGER)::TEXT)", CHANNEL, listener).fetch_one(connection).await?;
    Ok(())
}

/// The server's process at the other end.
async fn process(listener: &mut PgListener) -> Result<i32> {
    Ok(sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!" -- never NULL"#).fetch_one(listener).await?)
}
