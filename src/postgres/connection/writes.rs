//! Limits the connections of writes.
//!
//! A write waits while another session has locked its rows or the table. Writes may wait on at most [`MAX_WRITES`]
//! connections, so that reads always get one. A write that may not wait for long is *impatient*: it fails at the first
//! lock, and its caller repeats it as a patient write.

use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::acquire::WaitingCaller;
use super::pool::{ACQUIRE_TIMEOUT, MAX_WRITES, Pool};
use crate::postgres::error::{self, unavailable};
use crate::repository::{RepositoryError, Result};

/// The right to write on one of the connections.
#[derive(Debug)]
pub(crate) struct WritePermit<'a> {
    /// Present if the write may wait for locks.
    patient: Option<SemaphorePermit<'a>>,
    _write: SemaphorePermit<'a>,
}

impl WritePermit<'_> {
    /// Returns whether the write may wait for a locked row.
    pub(crate) fn is_patient(&self) -> bool {
        self.patient.is_some()
    }
}

impl Pool {
    /// Waits for the permit of a write that may wait for locked rows.
    pub(crate) async fn patient_write(&self) -> Result<WritePermit<'_>> {
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        let patient = self.permit_of(&self.patient_writes, deadline).await?;
        Ok(WritePermit { patient: Some(patient), _write: self.permit_of(&self.writes, deadline).await? })
    }

    /// Waits for the permit of a write. The write may wait for locked rows if few other writes do.
    pub(crate) async fn write_permit(&self) -> Result<WritePermit<'_>> {
        let patient = self.patient_writes.try_acquire().ok();
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        Ok(WritePermit { patient, _write: self.permit_of(&self.writes, deadline).await? })
    }

    /// Runs a statement that writes and does not wait for locked rows. It may wait for a lock on the table, or for
    /// another session that has inserted the same row.
    pub(crate) async fn run_write<T>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        let _permit = self.permit_of(&self.writes, deadline).await?;
        self.run(statement).await
    }

    /// Returns why a write did not get its turn.
    pub(crate) fn busy_writes(&self) -> RepositoryError {
        RepositoryError::Busy(format!(
            "at most {MAX_WRITES} connections write, and all of them are in use: writes wait for locks of other \
             transactions, or a large import runs"
        ))
    }

    async fn permit_of<'a>(&self, semaphore: &'a Semaphore, deadline: Instant) -> Result<SemaphorePermit<'a>> {
        if let Ok(permit) = semaphore.try_acquire() {
            return Ok(permit);
        }
        let _waiting = [&self.waiting, &self.waiting_writes].map(WaitingCaller::count_in);
        let acquired = tokio::select! {
            acquired = timeout_at(deadline, semaphore.acquire()) => acquired,
            reason = self.breaker.until_open() => return Err(unavailable(reason)),
        };
        match acquired {
            Ok(permit) => permit.map_err(|_| unavailable("the instance is shutting down")),
            // The other writes may also wait for a server that does not respond.
            Err(_) => Err(match self.unreachable_since((deadline - ACQUIRE_TIMEOUT).into_std()).await {
                None => self.busy_writes(),
                Some(reason) => self.open_breaker(reason),
            }),
        }
    }
}
