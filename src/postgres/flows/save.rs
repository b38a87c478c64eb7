//! [`Save`]: a change that the group commit makes.

use uuid::Uuid;

use crate::flow::Flow;
use crate::repository::{Precondition, Stamp};

/// The save of one flow.
#[derive(Debug, Clone)]
pub(crate) struct Save {
    pub(crate) flow: Flow,
    pub(crate) precondition: Precondition,
    pub(crate) stamp: Stamp,
}

impl Save {
    pub(super) fn id(&self) -> Uuid {
        self.flow.id().as_uuid()
    }
}
