//! Saves several flows in one statement. Each save has its own precondition, author and time, and fails or succeeds
//! independently of the others.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::direct;
use super::outcomes::Outcomes;
use super::save::Save;
use crate::postgres::error::{Error, Result};

/// How long a batch waits for a row, as in the statement of [`direct::insert`].
const ROW_LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// Saves the flows that can be saved at once. No two saves have the same flow. Records the outcome of each save, also if a
/// later statement fails.
///
/// A save without an outcome was skipped: its precondition does not hold, or [`direct`] leaves its flow out.
pub(super) async fn save(connection: &mut PgConnection, saves: &[Save], recorder: &Mutex<Outcomes>) -> Result<()> {
    // Records outcomes, and returns the saves that have none yet.
    let record = |new: Outcomes| {
        let mut outcomes = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.extend(new);
        saves.iter().filter(|save| !outcomes.contains_key(&save.id())).collect::<Vec<_>>()
    };
    let remaining = record(Outcomes::new());
    let remaining = record(direct::update(connection, remaining).await?);
    let started_at = Instant::now();
    match direct::insert(connection, remaining).await {
        // A longer wait was for a lock on the table. Then each save would wait as long again.
        Err(error) if error.is_lock_timeout() && started_at.elapsed() < 10 * ROW_LOCK_TIMEOUT => {
            Err(Error::LockedInBatch)
        }
        outcomes => {
            record(outcomes?);
            Ok(())
        }
    }
}
