//! The memory for request bodies. The budget limits their total size, whatever the number and the speed of the clients.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::respond::{Problem, ProblemKind, kibibytes};

/// Maximum bytes of all bodies in memory, without the first [`FREE`] bytes of each.
const BUDGET: u64 = 256 << 20;
/// Bytes of each body that need no reservation, so that uploads of large flows do not delay usual requests.
const FREE: usize = 64 * 1024;
/// Bytes that a body reserves at a time.
const STEP: usize = 256 * 1024;
/// Maximum wait for memory. After that the request fails with 503.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The memory budget for request bodies. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BodyBudget(Arc<Semaphore>);

/// The part of the budget that a body uses until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct BodyReservation {
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(kibibytes(BUDGET) as usize)))
    }
}

impl BodyBudget {
    /// Extends a reservation to this length. Waits if other bodies occupy the budget.
    pub(super) async fn extend(&self, reservation: &mut BodyReservation, length: usize) -> Result<(), Problem> {
        while length > FREE + reservation.bytes {
            let more = Arc::clone(&self.0).acquire_many_owned(kibibytes(STEP as u64));
            let Ok(Ok(more)) = timeout(MAX_WAIT, more).await else {
                tracing::warn!("the memory for request bodies is used up");
                let detail = "nothing was written; many large requests are being received; try again";
                return Err(Problem::new(ProblemKind::Busy, detail).retry_after(MAX_WAIT));
            };
            reservation.bytes += STEP;
            match &mut reservation.permit {
                Some(permit) => permit.merge(more),
                permit => *permit = Some(more),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BUDGET, BodyBudget, BodyReservation};

    #[tokio::test(start_paused = true)]
    async fn large_bodies_share_a_budget_and_small_ones_need_none() {
        let budget = BodyBudget::default();
        let reserve = async |length: usize| {
            let mut reservation = BodyReservation::default();
            budget.extend(&mut reservation, length).await.map(|()| reservation)
        };
        let mut held = Vec::new();
        for _ in 0..BUDGET / (16 << 20) {
            held.push(reserve(16 << 20).await.unwrap());
        }
        reserve(16 << 20).await.expect_err("the budget is used up");
        reserve(60_000).await.expect("small");
        held.pop();
        reserve(16 << 20).await.expect("released");
    }
}
