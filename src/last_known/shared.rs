//! State that the follower and the readers share.

use std::sync::{Arc, PoisonError, RwLock};

use super::settings::Settings;
use super::view::View;
use crate::repository::FlowRepository;

/// The state that the follower updates and the readers read.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) repository: Arc<dyn FlowRepository>,
    pub(super) location: String,
    pub(super) settings: Settings,
    pub(super) view: RwLock<Option<View>>,
}

impl Shared {
    pub(super) fn view(&self) -> Option<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(view);
    }
}
