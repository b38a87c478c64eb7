//! Waits for conditions instead of fixed times.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The time after which a test counts as hanging. It does not decide whether a slow machine passes.
pub const HANGS: Duration = Duration::from_secs(120);

/// Polls until the condition holds.
///
/// # Panics
///
/// If the condition does not hold after two minutes; the message contains `what`.
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    let mut condition = condition;
    eventually_some(what, async || condition().await.then_some(())).await;
}

/// Polls until there is a value and returns it. Panics like [`eventually`].
pub async fn eventually_some<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut look = look;
    let poll = async {
        loop {
            if let Some(value) = look().await {
                return value;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANGS, poll).await.unwrap_or_else(|_| panic!("still waiting after {} s: {what}", HANGS.as_secs()))
}
