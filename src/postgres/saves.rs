//! Saves of single flows: those that come while the database is busy with others wait, and go to it together.
//!
//! At most [`CARRIERS`] statements with saves are under way. A save that comes when there are fewer goes at once; those that
//! come meanwhile are carried by the next statement, as many as it takes, so they share its round trip, its commit and its
//! sync. With many callers that is what the rate depends on.
//!
//! Nobody waits for the lock of somebody else's flow: what cannot be made together is made by a statement of its own, which
//! finds out why; and one that takes long is not waited for by those behind it.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::apply::{self, Done};
use super::error::unavailable;
use super::notifications::Notifications;
use super::pool::{ACQUIRE_TIMEOUT, MAX_CONNECTIONS, Pool};
use super::together::{self, Save};
use crate::repository::{Applied, Change, RepositoryError, Result};

/// How many statements are under way at once: while the server syncs one, it works at the other.
const CARRIERS: usize = 2;
/// How much one statement carries.
const BATCH_SAVES: usize = 64;
const BATCH_BYTES: usize = 1024 * 1024;
/// How long the next statement waits for one that takes long. It may have to wait for a lock.
const PATIENCE: Duration = Duration::from_millis(100);

/// Saves that wait, and what is needed to make them.
#[derive(Debug)]
pub(super) struct Saves {
    pool: Arc<Pool>,
    notifications: Arc<Notifications>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    calls: Vec<Call>,
    carriers: usize,
    next_ticket: u64,
}

#[derive(Debug)]
struct Call {
    ticket: u64,
    save: Save,
    answer: oneshot::Sender<Result<Vec<Applied>>>,
}

impl Saves {
    pub(super) fn new(pool: Arc<Pool>, notifications: Arc<Notifications>) -> Self {
        Self { pool, notifications, queue: Mutex::default() }
    }

    /// Makes a save, alone or together with others. A caller who goes away cancels nothing.
    pub(super) async fn make(self: &Arc<Self>, save: Save) -> Result<Vec<Applied>> {
        if let Some(reason) = self.pool.breaker.reason() {
            return Err(unavailable(reason));
        }
        let (answer, mut answered) = oneshot::channel();
        let (ticket, is_carried) = self.queue().add(save, answer);
        if !is_carried {
            tokio::spawn(Arc::clone(self).carry_all());
        }
        let refusal = tokio::select! {
            answer = &mut answered => return answer.unwrap_or_else(|_| Err(broken_off())),
            reason = self.pool.breaker.opened() => unavailable(reason),
            () = sleep(ACQUIRE_TIMEOUT) => {
                RepositoryError::Busy(format!("all {MAX_CONNECTIONS} connections are in use"))
            }
        };
        if self.queue().withdraw(ticket) {
            return Err(refusal);
        }
        // It is under way, and what comes of it is told in time.
        answered.await.unwrap_or_else(|_| Err(broken_off()))
    }

    fn next(&self) -> Option<Vec<Call>> {
        self.queue().take()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries saves as long as there are any.
    async fn carry_all(self: Arc<Self>) {
        while let Some(calls) = self.next() {
            let _ = timeout(PATIENCE, tokio::spawn(Arc::clone(&self).carry(calls))).await;
        }
    }

    async fn carry(self: Arc<Self>, calls: Vec<Call>) {
        let calls = self.carry_together(calls).await;
        let mut alone: Vec<_> = calls.into_iter().map(|call| Arc::clone(&self).carry_alone(call)).collect();
        // One that has to wait holds up no other.
        let last = alone.pop();
        alone.into_iter().for_each(|call| drop(tokio::spawn(call)));
        if let Some(last) = last {
            last.await;
        }
    }

    async fn carry_alone(self: Arc<Self>, call: Call) {
        let Save { flow, precondition, stamp } = call.save;
        let made = apply::apply(&self.pool, Arc::new(vec![Change::Put(flow, precondition)]), stamp).await;
        self.notifications.changes_made();
        // Whoever does not wait any more is told nothing.
        let _ = call.answer.send(made);
    }

    /// Gives back those that were not made and are to be tried alone.
    async fn carry_together(&self, calls: Vec<Call>) -> Vec<Call> {
        let saves: Arc<[Save]> = calls.iter().map(|call| call.save.clone()).collect();
        let done = Arc::<Mutex<Done>>::default();
        let noted = Arc::clone(&done);
        let making = self.pool.run(move |connection| {
            let (saves, noted) = (Arc::clone(&saves), Arc::clone(&noted));
            async move { together::save(connection, &saves, &noted).await }.boxed()
        });
        let failure = making.await.err().map(RepositoryError::from);
        let mut done = mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner));
        if failure.is_some() && self.pool.servers.is_pooled() {
            // There all of it is one transaction.
            done = HashMap::new();
        }
        self.notifications.changes_made();
        let mut rest = Vec::new();
        for call in calls {
            match (done.remove(&call.save.id()), failure.as_ref().and_then(said_to_all)) {
                (Some(applied), _) => drop(call.answer.send(Ok(vec![applied]))),
                (None, Some(failure)) => drop(call.answer.send(Err(failure))),
                (None, None) => rest.push(call),
            }
        }
        rest
    }
}

/// What is told to everybody whose save was in a statement that failed; `None` where each is to be tried alone.
fn said_to_all(failure: &RepositoryError) -> Option<RepositoryError> {
    match failure {
        RepositoryError::Unavailable { reason, retry_after, is_open } => {
            Some(RepositoryError::Unavailable { reason: reason.clone(), retry_after: *retry_after, is_open: *is_open })
        }
        RepositoryError::Busy(reason) => Some(RepositoryError::Busy(reason.clone())),
        _ => None,
    }
}

impl Queue {
    /// Says which call it is, and whether somebody will carry it.
    fn add(&mut self, save: Save, answer: oneshot::Sender<Result<Vec<Applied>>>) -> (u64, bool) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.calls.push(Call { ticket, save, answer });
        let is_carried = self.carriers == CARRIERS;
        self.carriers += usize::from(!is_carried);
        (ticket, is_carried)
    }

    /// Whether it still waited.
    fn withdraw(&mut self, ticket: u64) -> bool {
        let place = self.calls.iter().position(|call| call.ticket == ticket);
        place.map(|place| self.calls.remove(place)).is_some()
    }

    /// The next calls, in their order, each of another flow. `None` ends the carrier.
    fn take(&mut self) -> Option<Vec<Call>> {
        let (mut ids, mut bytes) = (HashSet::new(), 0);
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for call in mem::take(&mut self.calls) {
            bytes += call.save.flow.document().get().len();
            let fits = taken.is_empty() || taken.len() < BATCH_SAVES && bytes <= BATCH_BYTES;
            // Of two saves of one flow the second comes later, also where the first one did not fit.
            if ids.insert(call.save.id()) && fits {
                taken.push(call);
            } else {
                left.push(call);
            }
        }
        self.calls = left;
        self.carriers -= usize::from(taken.is_empty());
        (!taken.is_empty()).then_some(taken)
    }
}

fn broken_off() -> RepositoryError {
    RepositoryError::Failed("the save was broken off".into())
}
