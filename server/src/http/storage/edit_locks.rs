//! Locks of flows: the edits of one flow run one after the other.
//!
//! An edit reads the flow, changes it, and writes it under the precondition that it is still the one that was read. Without
//! locks, the edits of one flow would make each other fail, and the slowest client would never succeed. The precondition stays
//! necessary, because other instances and other programs do not take these locks.
//!
//! The server also remembers on which flows an engine has reported. The stored documents alone do not show it: an engine that
//! reports `Paused` and then `Playing` leaves the document as it was.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use strom_store::flow::FlowId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// Maximum time to wait for a lock. During an outage, waiting edits must fail at the same time, not one after the other.
const MAX_WAIT: Duration = Duration::from_secs(2);

type Lock = tokio::sync::Mutex<()>;

/// The locks of the flows that are being edited, and the flows with an engine.
#[derive(Debug, Default)]
pub(crate) struct EditLocks {
    locks: Mutex<HashMap<FlowId, Weak<Lock>>>,
    reported: Mutex<HashSet<FlowId>>,
}

impl EditLocks {
    /// Waits until no other edit of this flow runs. Dropping the returned value releases the lock. `None` if the wait took too
    /// long: the edit then competes with the others.
    pub(crate) async fn lock(&self, id: FlowId) -> Option<OwnedMutexGuard<()>> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            let lock = locks.get(&id).and_then(Weak::upgrade).unwrap_or_default();
            locks.insert(id, Arc::downgrade(&lock));
            lock
        };
        timeout(MAX_WAIT, lock.lock_owned()).await.ok()
    }

    /// Remembers that an engine reports on this flow.
    pub(super) fn mark_reported(&self, id: FlowId) {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Whether an engine has reported on this flow since the start of the server.
    pub(super) fn is_reported(&self, id: FlowId) -> bool {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}
