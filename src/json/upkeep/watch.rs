//! The background task of an open store.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::checkpoint::checkpoint;
use super::compaction::{compact, read_history};
use super::edits::check_file;
use super::faults::Topic;
use super::schedule::PAUSE;
use crate::json::mutex::lock;
use crate::json::store::Store;

/// How long the first checkpoint waits until the history is read.
const READ_FIRST: Duration = Duration::from_secs(1);
/// The pause after a failed checkpoint.
const RETRY: Duration = Duration::from_secs(1);

/// Runs checkpoints and checks the file for edits. Ends with the store.
pub(crate) async fn watch(weak: Weak<Store>) {
    let Some(store) = weak.upgrade() else { return };
    let (settings, wake) = (store.settings.clone(), Arc::clone(&store.wake));
    // The task must not keep the store alive.
    drop(store);
    let reading = weak.clone();
    let reading = spawn_blocking(move || read_history(&reading));
    // Reading a long history takes too long to delay the first checkpoint.
    let _ = timeout(READ_FIRST, reading).await;
    let mut compacting: Option<JoinHandle<()>> = None;
    let mut looked = Instant::now();
    let mut rotated = Instant::now();
    let mut not_before = Instant::now();
    let mut cost = Duration::ZERO;
    let mut must_look = false;
    loop {
        let Some(store) = weak.upgrade() else { return };
        let soon = settings.quiet.min(settings.interval) / 3;
        let pause = if store.schedule.has_unwritten() { settings.poll.min(soon) } else { settings.poll };
        drop(store);
        tokio::select! {
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
            () = wake.notified() => {}
        }
        let Some(store) = weak.upgrade().filter(|store| store.view().is_some()) else { return };
        let now = Instant::now();
        let looks = must_look || store.must_look.swap(false, Ordering::Relaxed) || now >= looked + settings.poll;
        // Without a save, only this attempt finds out that a rotation is possible again.
        let rotates = now >= rotated + settings.interval && store.faults.has(Topic::Rotation);
        let writes = now >= not_before && (store.schedule.is_due(&settings, cost) || rotates);
        if !looks && !writes {
            continue;
        }
        let done = spawn_blocking(move || {
            if looks {
                check_file(&mut lock(&store.upkeep), &store, false);
            }
            !writes || checkpoint(&store)
        })
        .await;
        if looks {
            looked = Instant::now();
        }
        if writes {
            rotated = Instant::now();
            let is_written = done.unwrap_or(false);
            cost = now.elapsed();
            not_before = if is_written { now } else { Instant::now() + RETRY.min(settings.interval).max(cost * PAUSE) };
            // Another program may have written the file.
            must_look = !is_written;
            if compacting.as_ref().is_none_or(JoinHandle::is_finished) {
                compacting = weak.upgrade().map(|store| spawn_blocking(move || compact(&store)));
            }
        }
    }
}
