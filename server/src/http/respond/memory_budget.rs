//! The memory for lists. The budget limits their total size, whatever the number and the speed of the clients.

use std::sync::Arc;
use std::time::Duration;

use strom_store::repository::RepositoryError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;

/// Maximum bytes of all lists that clients have not read yet. A larger list waits until there is no other list.
const BUDGET: u64 = 256 << 20;
/// Maximum number of long lists that the storage reads at the same time. They are in memory before they have a reservation.
const MAX_CONCURRENT_LOADS: usize = 2;
/// Maximum number of flows in a short list, which needs no load permit.
const SHORT_LIST: u32 = 1_000;
/// Maximum wait for a load permit, and then for a reservation. After that the request fails with 503.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The memory budget for lists. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBudget {
    load_permits: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// The part of the budget that a list uses until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    _kibibytes: OwnedSemaphorePermit,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        let kibibytes = Arc::new(Semaphore::new(kibibytes(BUDGET) as usize));
        Self { load_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_LOADS)), kibibytes }
    }
}

impl MemoryBudget {
    /// Loads a list of at most `limit` flows, and reserves memory for its size.
    pub(crate) async fn load<T>(
        &self,
        limit: Option<u32>,
        load: impl Future<Output = Result<T, Problem>>,
        size: impl FnOnce(&T) -> u64,
    ) -> Result<(T, Reservation), Problem> {
        let is_short = limit.is_some_and(|limit| limit <= SHORT_LIST);
        let _permit = if is_short { None } else { Some(in_time(self.load_permits.acquire()).await?) };
        let loaded = load.await?;
        let reservation = Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes(size(&loaded).min(BUDGET)));
        Ok((loaded, Reservation { _kibibytes: in_time(reservation).await? }))
    }
}

/// Converts bytes to the unit of memory budgets. A count of bytes does not fit into a semaphore.
pub(crate) fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

async fn in_time<T, E>(waiting: impl Future<Output = Result<T, E>>) -> Result<T, Problem> {
    match timeout(MAX_WAIT, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(RepositoryError::Busy("too many lists are loaded or waiting for slow clients".to_owned()).into()),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::{BUDGET, MemoryBudget};

    #[tokio::test(start_paused = true)]
    async fn lists_wait_for_the_budget_until_a_timeout() {
        let budget = MemoryBudget::default();
        let load = async |bytes: u64| budget.load(None, async { Ok(()) }, |()| bytes).await;
        let (_, half) = load(BUDGET / 2).await.unwrap();
        let (_, small) = load(1).await.unwrap();
        load(2 * BUDGET).await.expect_err("larger than the budget, and there are other lists");
        drop((half, small));
        let (_, all) = load(2 * BUDGET).await.expect("there is no other list");
        assert!(load(1).now_or_never().is_none(), "it waits");
        drop(all);
        load(1).now_or_never().expect("at once").unwrap();
    }
}
