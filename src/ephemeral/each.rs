//! Reads flows by their ids from memory and storage.

use std::collections::HashSet;

use futures::stream::{self, BoxStream, StreamExt};

use super::decorator::Ephemeral;
use super::scratch::View;
use crate::flow::{Flow, FlowId};
use crate::repository::{Result, Stored};

type FlowStream = BoxStream<'static, Result<Stored<Flow>>>;

/// A lookup that is running.
struct Lookup {
    repository: Ephemeral,
    /// The ids that were not found yet.
    missing: HashSet<FlowId>,
    /// The memory at the time when the storage was called.
    view: View,
    found: FlowStream,
}

impl Ephemeral {
    pub(super) fn each(&self, ids: Vec<FlowId>) -> FlowStream {
        let this = self.clone();
        let lookup = async move {
            let lookup = Lookup::begin(this, ids.into_iter().collect()).await;
            stream::unfold(lookup, async |mut lookup| Some((lookup.next().await?, lookup)))
        };
        stream::once(lookup).flatten().boxed()
    }
}

impl Lookup {
    async fn begin(repository: Ephemeral, missing: HashSet<FlowId>) -> Self {
        let view = repository.scratch.view_unless(|view| missing.iter().any(|id| view.joint.contains(id))).await;
        let (ours, theirs): (Vec<_>, Vec<_>) = missing.iter().partition(|id| view.flows.contains_key(id));
        let entry = |id: &FlowId| view.flows.get(id).map(|entry| Ok(entry.stored.clone()));
        let ours: Vec<_> = ours.iter().filter_map(entry).collect();
        let theirs = if theirs.is_empty() { stream::empty().boxed() } else { repository.store.get_each(theirs) };
        Self { repository, missing, view, found: stream::iter(ours).chain(theirs).boxed() }
    }

    /// Returns the next flow. Looks for missing flows again if a flow may have moved between memory and storage.
    async fn next(&mut self) -> Option<Result<Stored<Flow>>> {
        loop {
            match self.found.next().await {
                Some(Ok(stored)) => {
                    self.missing.remove(&stored.item.id());
                    return Some(Ok(stored));
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.missing.is_empty() || self.repository.scratch.is_consistent(&self.view) => return None,
                None => *self = Self::begin(self.repository.clone(), self.missing.clone()).await,
            }
        }
    }
}
