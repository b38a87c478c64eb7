//! Gives a call exclusive access to its flows.
//!
//! A single lock would be simpler. But then a change in memory would wait for every running save, such as a large
//! import or a save to an unresponsive server, and new saves would wait for it.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::flow::FlowId;

/// The calls that change flows, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Permits {
    queues: Mutex<Queues>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    next: u64,
    /// Per flow: the call with access, and the waiting calls.
    of: HashMap<FlowId, VecDeque<u64>>,
}

/// The exclusive access of a call to its flows. Dropping it releases them.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    permits: &'a Permits,
    ids: Vec<FlowId>,
    number: u64,
}

impl Permits {
    /// Waits until all earlier calls for these flows have ended. A call queues for all its flows at once, so that two
    /// calls never wait for each other. The ids must be distinct.
    pub(super) async fn acquire(&self, ids: Vec<FlowId>) -> Permit<'_> {
        let permit = self.queue(ids);
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if permit.is_granted() {
                return permit;
            }
            left.await;
        }
    }

    fn queue(&self, ids: Vec<FlowId>) -> Permit<'_> {
        let mut queues = self.lock();
        let number = queues.next;
        queues.next += 1;
        for id in &ids {
            queues.of.entry(*id).or_default().push_back(number);
        }
        Permit { permits: self, ids, number }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    fn is_granted(&self) -> bool {
        let queues = self.permits.lock();
        self.ids.iter().all(|id| queues.of.get(id).and_then(VecDeque::front) == Some(&self.number))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut queues = self.permits.lock();
        for id in &self.ids {
            if let Some(queue) = queues.of.get_mut(id) {
                queue.retain(|number| *number != self.number);
                if queue.is_empty() {
                    queues.of.remove(id);
                }
            }
        }
        drop(queues);
        self.permits.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::Permits;
    use crate::flow::FlowId;

    fn ids(numbers: &[u128]) -> Vec<FlowId> {
        numbers.iter().map(|number| Uuid::from_u128(*number).into()).collect()
    }

    #[test]
    fn calls_wait_for_those_before_them_alone() {
        let permits = Permits::default();
        let first = permits.acquire(ids(&[1, 2])).now_or_never().unwrap();
        let mut second = Box::pin(permits.acquire(ids(&[2, 3])));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(permits.acquire(ids(&[3])));
        assert!(third.as_mut().now_or_never().is_none(), "it does not overtake the second");
        assert!(permits.acquire(ids(&[4])).now_or_never().is_some(), "no call holds this permit");
        drop(first);
        let second = second.now_or_never().unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        assert!(third.now_or_never().is_some());
        assert!(permits.lock().of.is_empty());
    }

    #[test]
    fn who_does_not_wait_any_more_keeps_nobody_waiting() {
        let permits = Permits::default();
        let first = permits.acquire(ids(&[1])).now_or_never().unwrap();
        let mut second = Box::pin(permits.acquire(ids(&[1])));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(permits.acquire(ids(&[1])));
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        drop(first);
        assert!(third.now_or_never().is_some());
    }
}
