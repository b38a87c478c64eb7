//! Flows by their ids, from memory and from the storage.

use std::collections::HashSet;

use futures::stream::{self, BoxStream, StreamExt};

use super::Ephemeral;
use super::scratch::View;
use crate::flow::{Flow, FlowId};
use crate::repository::{Result, Stored};

type Found = BoxStream<'static, Result<Stored<Flow>>>;

/// A reading under way.
struct Reading {
    repository: Ephemeral,
    /// What has not been found.
    missing: HashSet<FlowId>,
    /// What memory was like when the storage was asked.
    view: View,
    found: Found,
}

impl Ephemeral {
    pub(super) fn each(&self, ids: Vec<FlowId>) -> Found {
        let this = self.clone();
        let reading = async move {
            let reading = Reading::begin(this, ids.into_iter().collect()).await;
            stream::unfold(reading, async |mut reading| Some((reading.next().await?, reading)))
        };
        stream::once(reading).flatten().boxed()
    }
}

impl Reading {
    async fn begin(repository: Ephemeral, missing: HashSet<FlowId>) -> Self {
        let view = repository.scratch.view_unless(|view| missing.iter().any(|id| view.joint.contains(id))).await;
        let (ours, theirs): (Vec<_>, Vec<_>) = missing.iter().partition(|id| view.flows.contains_key(id));
        let entry = |id: &FlowId| view.flows.get(id).map(|entry| Ok(entry.stored.clone()));
        let ours: Vec<_> = ours.iter().filter_map(entry).collect();
        let theirs = if theirs.is_empty() { stream::empty().boxed() } else { repository.store.get_each(theirs) };
        Self { repository, missing, view, found: stream::iter(ours).chain(theirs).boxed() }
    }

    /// Looks again for what was missing when a flow may have gone from one to the other meanwhile.
    async fn next(&mut self) -> Option<Result<Stored<Flow>>> {
        loop {
            match self.found.next().await {
                Some(Ok(stored)) => {
                    self.missing.remove(&stored.item.id());
                    return Some(Ok(stored));
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.missing.is_empty() || self.repository.scratch.is_still(&self.view) => return None,
                None => *self = Self::begin(self.repository.clone(), self.missing.clone()).await,
            }
        }
    }
}
