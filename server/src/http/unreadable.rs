//! The flows that a request omitted, because SQL wrote a document that this version rejects.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use strom_store::flow::{Flow, FlowId, Head, Refusal};
use strom_store::repository::FlowRepository;

/// Maximum number of flows. `strom check` lists all.
const MAX_FLOWS: usize = 10;

/// The flows that requests omitted and that are still unreadable.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<BTreeMap<FlowId, String>>);

impl Unreadable {
    /// Logs a flow that a request omits, and adds it.
    pub(crate) fn add(&self, Head { id, name, .. }: &Head, refusal: &Refusal) {
        let Refusal { path, reason, .. } = refusal;
        let fault = format!("the document of flow {id} {name:?} is not valid: `{path}`: {reason}; exports may omit it");
        tracing::error!("{fault}");
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flows.len() < MAX_FLOWS || flows.contains_key(id) {
            flows.insert(*id, fault);
        }
    }

    /// Returns the faults. Forgets the flows that were corrected or deleted.
    pub(crate) async fn faults(&self, repository: &dyn FlowRepository) -> Vec<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for id in known.into_keys() {
            let is_readable = |flow: Flow| Flow::parse(flow.document().get()).is_ok();
            if repository.get(id).await.is_ok_and(|stored| stored.is_none_or(|stored| is_readable(stored.item))) {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
