//! State that the follower, the recorder, the saver and the readers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::acknowledged::Acknowledgement;
use super::settings::Settings;
use super::state::State;
use super::view::{Moment, View};
use crate::flow::FlowId;
use crate::repository::FlowRepository;

/// The shared state of a copy.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) repository: Arc<dyn FlowRepository>,
    pub(super) location: String,
    pub(super) settings: Settings,
    state: Mutex<State>,
    /// Wakes the saver after each change of what readers see.
    pub(super) changed: Notify,
}

impl Shared {
    pub(super) fn new(
        repository: Arc<dyn FlowRepository>,
        location: String,
        settings: Settings,
        view: Option<View>,
    ) -> Self {
        let state = Mutex::new(State::new(settings.bytes, view));
        Self { repository, location, settings, state, changed: Notify::new() }
    }

    /// Locks the state. Hold the lock only for a moment: readers and writers wait for it.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn view(&self) -> Option<View> {
        self.state().view().cloned()
    }

    /// Shows readers the state of the storage at this time.
    pub(super) fn publish(&self, as_of: Moment) {
        self.state().publish(as_of);
        self.changed.notify_one();
    }

    /// Adds an acknowledged change. Readers see it at once.
    pub(super) fn acknowledge(&self, id: FlowId, acknowledgement: Acknowledgement) {
        self.state().acknowledge(id, acknowledgement);
        self.changed.notify_one();
    }
}
