//! Makes a list of changes: one statement for one change, one transaction for several.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use sqlx::{Connection, PgConnection};

use super::batch::{BATCH_FLOWS, Batch, BatchRead, append_restored};
use super::obstacles::find_obstacles;
use super::violations::find_violations;
use super::{adopt, inherit, write};
use crate::postgres::connection::Pool;
use crate::postgres::error::{Error, Result, of_write};
use crate::repository::{self, Applied, Change, ChangeList, RepositoryError, Stamp, Violation, check_ids};

/// How often a call starts again after a race. Each time another writer has made progress.
const MAX_ATTEMPTS: usize = 100;

struct ApplyCall {
    changes: Arc<dyn ChangeList>,
    stamp: Stamp,
}

enum Attempt {
    Done(Vec<Applied>),
    Violated(Vec<Violation>),
    /// Another writer changed the flows between two statements of the attempt.
    Raced,
}

/// Makes all changes or none.
pub(crate) async fn apply(
    pool: &Arc<Pool>,
    changes: Arc<dyn ChangeList>,
    stamp: Stamp,
) -> repository::Result<Vec<Applied>> {
    check_ids(&*changes)?;
    let call = Arc::new(ApplyCall { changes, stamp });
    let mut has_raced = false;
    for attempts in 0..MAX_ATTEMPTS {
        let attempt = run_attempt(pool, &call).await;
        has_raced = attempt.as_ref().is_err_and(Error::is_race);
        match attempt {
            Ok(Attempt::Done(applied)) => return Ok(applied),
            Ok(Attempt::Violated(violations)) => return Err(RepositoryError::Conflict(violations)),
            Ok(Attempt::Raced) => {}
            // The history contradicts the flows, which no retry corrects.
            Err(error) if error.is_duplicate_revision() && attempts + 1 == MAX_ATTEMPTS => return Err(error.into()),
            Err(error) if error.is_race() || error.is_stale_plan() => {}
            // Nothing was written, and the next connection may lead to another server.
            Err(error) if error.is_read_only_server() && attempts == 0 => {}
            Err(error) => return Err(of_write(error)),
        }
    }
    pool.doubts.notify_one();
    // A rule or a trigger that swallows a change raises no error of a race.
    let obstacles = match has_raced {
        true => None,
        false => pool.read(|connection| find_obstacles(connection).boxed()).await?,
    };
    Err(match obstacles {
        Some(obstacles) => RepositoryError::ReadOnly(format!("{obstacles} of the table flows prevented the change")),
        None => RepositoryError::Busy("other writers changed the same flows during every attempt".to_owned()),
    })
}

/// Runs an attempt when it gets its turn to write. While many writes wait for locked rows, a short list is first tried
/// without waiting for one, so that changes to other flows continue.
async fn run_attempt(pool: &Arc<Pool>, call: &Arc<ApplyCall>) -> Result<Attempt> {
    let run = async |patience| {
        let call = Arc::clone(call);
        pool.run(move |connection| attempt(connection, Arc::clone(&call), patience).boxed()).await
    };
    if call.changes.len() <= BATCH_FLOWS {
        let permit = pool.write_permit().await?;
        let patience = if permit.is_patient() { Patience::Patient } else { Patience::Impatient };
        match run(patience).await {
            Err(error) if patience == Patience::Impatient && error.is_lock_timeout() => {}
            result => return result,
        }
    }
    let _permit = pool.patient_write().await?;
    run(Patience::Patient).await
}

/// How long an attempt waits for locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// For the lock timeout of the session.
    Patient,
    /// Only for a moment.
    Impatient,
}

async fn attempt(connection: &mut PgConnection, call: Arc<ApplyCall>, patience: Patience) -> Result<Attempt> {
    // One statement needs no transaction block. A flow with its history takes several statements.
    if patience == Patience::Patient
        && call.changes.len() == 1
        && !matches!(BatchRead::start(&call.changes, 0).finish().await?[..], [Change::Inherit(_)])
    {
        return make_changes(connection, &call).await;
    }
    let mut transaction = connection.begin().await?;
    if patience == Patience::Impatient {
        set_impatient(&mut transaction).await?;
    }
    let attempt = make_changes(&mut transaction, &call).await?;
    match attempt {
        Attempt::Done(_) => transaction.commit().await?,
        Attempt::Violated(_) | Attempt::Raced => transaction.rollback().await?,
    }
    Ok(attempt)
}

/// Shortens the lock timeout of a transaction.
async fn set_impatient(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', '10ms', TRUE)").fetch_one(connection).await?;
    Ok(())
}

/// Tries every change under its precondition, batch by batch. Finds all violations, not only the first.
async fn make_changes(connection: &mut PgConnection, call: &ApplyCall) -> Result<Attempt> {
    let count = call.changes.len();
    let mut applied = Vec::with_capacity(count);
    let mut violations = Vec::new();
    let mut restored = String::new();
    let mut first = 0;
    let mut read = (count > 0).then(|| BatchRead::start(&call.changes, 0));
    while let Some(batch_read) = read.take() {
        let changes = batch_read.finish().await?;
        // The next batch is read while the server works on this one.
        let next = first + changes.len();
        read = (next < count).then(|| BatchRead::start(&call.changes, next));
        restored = append_restored(restored, &changes);
        let batch = Batch { changes: &changes, first, stamp: &call.stamp, restored: &restored };
        let mut outcomes = HashMap::with_capacity(changes.len());
        write::delete(connection, &batch, &mut outcomes).await?;
        write::update(connection, &batch, &mut outcomes).await?;
        write::insert(connection, &batch, &mut outcomes).await?;
        inherit::insert_histories(connection, &batch, &mut outcomes).await?;
        adopt::insert_flows(connection, &batch, &mut outcomes).await?;
        match find_violations(connection, &batch, &mut outcomes).await? {
            Some(found) => violations.extend(found),
            None => return Ok(Attempt::Raced),
        }
        applied.extend(changes.iter().filter_map(|change| outcomes.remove(&change.id().as_uuid())));
        first = next;
    }
    Ok(if violations.is_empty() { Attempt::Done(applied) } else { Attempt::Violated(violations) })
}
