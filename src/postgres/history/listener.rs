//! Listens for the notifications of other writers while readers wait.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use tokio::sync::watch;

use super::notifications::{CHANNEL, Notifications};
use crate::background::End;
use crate::postgres::connection::Pool;
use crate::postgres::error::{Result, unavailable};

/// How long the connection stays open without a waiting reader: a reader of the feed alternates between reading and
/// waiting.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is tested, and the time limit for the answer. A network that drops all packets causes
/// no error by itself.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before a lost connection is replaced. It doubles each time, up to the maximum. It starts again at the first
/// value after a connection that has lasted longer than the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(30);

impl Notifications {
    /// Listens while readers wait, as a background task. Reconnects after a lost connection.
    pub(crate) async fn listen(self: Arc<Self>, pool: Arc<Pool>) -> End {
        let mut waiters = self.waiters.subscribe();
        let mut pause = FIRST_PAUSE;
        while waiters.wait_for(|count| *count > 0).await.is_ok() {
            let started_at = Instant::now();
            let result = self.receive(&pool, &mut waiters).await;
            self.listener_pid.store(0, Ordering::Relaxed);
            // Notifications between two connections are lost.
            self.wakeups.send_replace(());
            if started_at.elapsed() > MAX_PAUSE {
                pause = FIRST_PAUSE;
            }
            if let Err(error) = result {
                tracing::debug!(%error, "cannot listen for notifications; readers poll");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
        End::Unexpected
    }

    /// Receives notifications on one connection until no reader has waited for a while.
    async fn receive(&self, pool: &Arc<Pool>, waiters: &mut watch::Receiver<usize>) -> Result<()> {
        let (mut listener, _permit) = pool.listener().await?;
        listener.listen(CHANNEL).await?;
        let own_pid = backend_pid(&mut listener).await?;
        self.listener_pid.store(own_pid, Ordering::Relaxed);
        // Notifications before this moment are lost.
        self.wakeups.send_replace(());
        let own_pid = own_pid.to_string();
        let mut idle = pin!(until_idle(waiters));
        loop {
            tokio::select! {
                notification = listener.try_recv() => match notification? {
                    Some(notification) if notification.payload() == own_pid => {}
                    Some(_) => self.wakeups.send_replace(()),
                    None => return Err(unavailable("the connection was lost").into()),
                },
                () = tokio::time::sleep(KEEPALIVE_INTERVAL) => {
                    let answer = tokio::time::timeout(KEEPALIVE_TIMEOUT, backend_pid(&mut listener)).await;
                    let late = |_| unavailable(format!("no answer within {} s", KEEPALIVE_TIMEOUT.as_secs()));
                    answer.map_err(late)??;
                }
                () = &mut idle => return Ok(()),
                // After the outage the pool may use another server, although this one still answers.
                reason = pool.breaker.until_open() => return Err(unavailable(reason).into()),
            }
        }
    }
}

/// Waits until no reader has waited for the idle timeout.
async fn until_idle(waiters: &mut watch::Receiver<usize>) {
    loop {
        // Never fails: `Notifications` owns the sender.
        let _ = waiters.wait_for(|count| *count == 0).await;
        if tokio::time::timeout(IDLE_TIMEOUT, waiters.wait_for(|count| *count > 0)).await.is_err() {
            return;
        }
    }
}

/// Returns the process of the server that serves the connection.
async fn backend_pid(listener: &mut PgListener) -> Result<i32> {
    Ok(sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!" -- never NULL"#).fetch_one(listener).await?)
}
