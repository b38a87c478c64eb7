//! Who changes flows has them to himself, until his call has ended.
//!
//! One lock for all would be simpler, but a change in memory would then wait for every save that is under way, be it a large
//! import or one that a silent server leaves hanging, and new saves would wait for it.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::flow::FlowId;

/// The calls that change flows, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Mutex<Queues>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    next: u64,
    /// Whose turn each flow is, and who comes after.
    of: HashMap<FlowId, VecDeque<u64>>,
}

/// A call in the queues of its flows. It leaves them when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    ids: Vec<FlowId>,
    number: u64,
}

impl Turns {
    /// Waits until all calls that came before and concern one of these flows have ended. They queue for all of them at
    /// once, so two calls never wait for each other. No flow is named twice.
    pub(super) async fn take(&self, ids: Vec<FlowId>) -> Turn<'_> {
        let turn = self.queue(ids);
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if turn.has_come() {
                return turn;
            }
            left.await;
        }
    }

    fn queue(&self, ids: Vec<FlowId>) -> Turn<'_> {
        let mut queues = self.lock();
        let number = queues.next;
        queues.next += 1;
        for id in &ids {
            queues.of.entry(*id).or_default().push_back(number);
        }
        Turn { turns: self, ids, number }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    fn has_come(&self) -> bool {
        let queues = self.turns.lock();
        self.ids.iter().all(|id| queues.of.get(id).and_then(VecDeque::front) == Some(&self.number))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        for id in &self.ids {
            if let Some(queue) = queues.of.get_mut(id) {
                queue.retain(|number| *number != self.number);
                if queue.is_empty() {
                    queues.of.remove(id);
                }
            }
        }
        drop(queues);
        self.turns.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::Turns;
    use crate::flow::FlowId;

    fn ids(numbers: &[u128]) -> Vec<FlowId> {
        numbers.iter().map(|number| Uuid::from_u128(*number).into()).collect()
    }

    #[test]
    fn calls_wait_for_those_before_them_alone() {
        let turns = Turns::default();
        let first = turns.take(ids(&[1, 2])).now_or_never().unwrap();
        let mut second = Box::pin(turns.take(ids(&[2, 3])));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(turns.take(ids(&[3])));
        assert!(third.as_mut().now_or_never().is_none(), "it does not overtake the second");
        assert!(turns.take(ids(&[4])).now_or_never().is_some(), "nobody has this one");
        drop(first);
        let second = second.now_or_never().unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        assert!(third.now_or_never().is_some());
        assert!(turns.lock().of.is_empty());
    }

    #[test]
    fn who_does_not_wait_any_more_keeps_nobody_waiting() {
        let turns = Turns::default();
        let first = turns.take(ids(&[1])).now_or_never().unwrap();
        let mut second = Box::pin(turns.take(ids(&[1])));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(turns.take(ids(&[1])));
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        drop(first);
        assert!(third.now_or_never().is_some());
    }
}
