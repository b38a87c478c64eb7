//! Looks after the file as long as the store is open.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::Shared;
use super::history;
use super::shared::lock;

/// How much longer than a checkpoint has taken the next one waits under load, so that a large file does not take the
/// disk from the saves.
const PAUSE: u32 = 20;
/// When a checkpoint could not be written, the next try waits for so long.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the file when it is time, and looks whether somebody else has. Ends with the store.
pub(super) async fn watch(store: Weak<Shared>) {
    let Some(shared) = store.upgrade() else { return };
    let (settings, wake) = (shared.settings.clone(), Arc::clone(&shared.wake));
    let history = shared.view().and_then(|view| view.log.history.clone());
    // Whoever lets go of the store must not have to wait.
    drop(shared);
    // Reading all of a long history is nothing that a start should wait for.
    if let Some(history) = history
        && let Ok(damaged) = spawn_blocking(move || history::damaged_lines(&history)).await
        && let Some(shared) = store.upgrade()
    {
        shared.report_history(damaged);
    }
    let mut looked = Instant::now();
    let mut not_before = Instant::now();
    let mut cost = Duration::ZERO;
    let mut must_look = false;
    loop {
        let Some(shared) = store.upgrade() else { return };
        let soon = settings.quiet.min(settings.interval) / 3;
        let pause = if shared.unwritten().is_some() { settings.poll.min(soon) } else { settings.poll };
        drop(shared);
        tokio::select! {
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
            () = wake.notified() => {}
        }
        let Some(shared) = store.upgrade().filter(|shared| shared.view().is_some()) else { return };
        let now = Instant::now();
        let looks = must_look || now >= looked + settings.poll;
        let writes = now >= not_before
            && shared.unwritten().is_some_and(|(first, last)| {
                now >= last + settings.quiet || now >= first + settings.interval.max(cost * PAUSE)
            });
        if !looks && !writes {
            continue;
        }
        let done = spawn_blocking(move || {
            if looks {
                lock(&shared.upkeep).look(&shared, false);
            }
            !writes || shared.checkpoint()
        })
        .await;
        if looks {
            looked = Instant::now();
        }
        if writes {
            let is_written = done.unwrap_or(false);
            cost = now.elapsed();
            not_before = if is_written { now } else { Instant::now() + RETRY.min(settings.interval).max(cost * PAUSE) };
            // The reason may be that somebody else has written it.
            must_look = !is_written;
        }
    }
}
