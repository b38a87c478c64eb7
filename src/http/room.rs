//! Memory for lists: however many clients ask for all flows, and however slowly they take them, only so much of it is used.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use crate::repository::RepositoryError;

/// Bytes of all lists that wait for their readers. A larger one waits until there is no other.
const ROOM: u64 = 256 << 20;
/// So many long lists are read from the storage at a time, and are in memory before they have room.
const TURNS: usize = 2;
/// A list of so many flows, at most, is short.
const SHORT: u32 = 1_000;
/// How long a request waits for its turn, and then for room, before it is told that it is one too many.
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is for lists.
#[derive(Debug, Clone)]
pub(super) struct Room {
    turns: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// The place of a list in memory, for as long as it is there.
#[derive(Debug)]
pub(super) struct Place {
    _kibibytes: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        let kibibytes = Arc::new(Semaphore::new(kibibytes(ROOM) as usize));
        Self { turns: Arc::new(Semaphore::new(TURNS)), kibibytes }
    }
}

impl Room {
    /// Loads a list of so many flows, at most, and gives it its place by its size.
    pub(super) async fn load<T>(
        &self,
        limit: Option<u32>,
        load: impl Future<Output = Result<T, Problem>>,
        size: impl FnOnce(&T) -> u64,
    ) -> Result<(T, Place), Problem> {
        let is_short = limit.is_some_and(|limit| limit <= SHORT);
        let _turn = if is_short { None } else { Some(in_time(self.turns.acquire()).await?) };
        let loaded = load.await?;
        let room = Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes(size(&loaded).min(ROOM)));
        Ok((loaded, Place { _kibibytes: in_time(room).await? }))
    }
}

/// The unit in which room is counted, so that it fits into a semaphore.
pub(super) fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

async fn in_time<T, E>(waiting: impl Future<Output = Result<T, E>>) -> Result<T, Problem> {
    match timeout(PATIENCE, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(RepositoryError::Busy("too many lists are read and not taken".to_owned()).into()),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::{ROOM, Room};

    #[tokio::test(start_paused = true)]
    async fn lists_wait_for_room_and_not_for_ever() {
        let room = Room::default();
        let load = async |bytes: u64| room.load(None, async { Ok(()) }, |()| bytes).await;
        let (_, half) = load(ROOM / 2).await.unwrap();
        let (_, small) = load(1).await.unwrap();
        load(2 * ROOM).await.expect_err("larger than all, and not alone");
        drop((half, small));
        let (_, all) = load(2 * ROOM).await.expect("alone");
        assert!(load(1).now_or_never().is_none(), "it waits");
        drop(all);
        load(1).now_or_never().expect("at once").unwrap();
    }
}
