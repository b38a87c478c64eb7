//! Waits for conditions.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The time after which a test counts as hanging. It does not decide whether a slow machine passes.
pub(super) const HANG_LIMIT: Duration = Duration::from_secs(120);

/// Polls until there is a value and returns it.
///
/// # Panics
/// If there is no value after two minutes; the message contains `what`.
pub(super) async fn eventually_some<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let poll = async {
        loop {
            if let Some(value) = look().await {
                return value;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(what, poll).await
}

/// Stops a test whose future never ends.
///
/// # Panics
/// If the future has not ended after two minutes; the message contains `what`.
pub(super) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(HANG_LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("still waiting after {} s: {what}", HANG_LIMIT.as_secs()))
}
