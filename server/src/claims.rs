//! Compares what flows claim for themselves while they run: SRT ports, NDI names and devices.
//!
//! Two flows with the same claim cannot run at the same time. Only flows that start automatically are compared, because
//! an operator who starts a flow by hand sees the failure. Saves do not compare: the comparison reads other flows.

use std::collections::HashMap;

use strom_store::flow::{Claim, Flow, FlowId, Path};
use strom_store::repository::{Filter, FlowRepository, ListQuery, Result};

/// Maximum number of stored flows to compare.
pub const MAX_COMPARED: u32 = 1_000;

/// A claim of a flow that another flow has too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedClaim {
    /// JSON path of the property that makes the claim.
    pub path: String,
    /// A sentence that names the claim and the other flow.
    pub message: String,
}

/// The flows that start automatically, by claim.
#[derive(Debug)]
pub struct Claimants {
    by_claim: HashMap<Claim, Vec<(FlowId, String)>>,
    /// Maximum number of flows per claim.
    limit: usize,
}

impl Claimants {
    /// Stores at most `limit` flows per claim.
    pub fn with_limit(limit: usize) -> Self {
        Self { by_claim: HashMap::new(), limit }
    }

    /// Adds the claims of a flow, which has this id now or after an import. Ignores a flow that does not start automatically.
    pub fn add(&mut self, id: FlowId, flow: &Flow) {
        for (_, claim) in claims(flow) {
            let claimants = self.by_claim.entry(claim).or_default();
            if claimants.len() < self.limit {
                claimants.push((id, flow.head().name.clone()));
            }
        }
    }

    /// Returns the claims of a flow with this id that other flows have too.
    pub fn shared_with(&self, id: FlowId, flow: &Flow) -> Vec<SharedClaim> {
        let mut shared = Vec::new();
        for (path, claim) in claims(flow) {
            let claimants = self.by_claim.get(&claim).into_iter().flatten();
            for (other, name) in claimants.filter(|(other, _)| *other != id) {
                shared.push(SharedClaim { path: path.to_string(), message: claim.also_claimed_by(name, *other) });
            }
        }
        shared
    }

    /// Returns every claim of more than one flow, with these flows in the order of their addition. The order of the claims is
    /// unspecified.
    pub fn into_shared(self) -> impl Iterator<Item = (Claim, Vec<(FlowId, String)>)> {
        let distinct = |(claim, mut flows): (Claim, Vec<(FlowId, String)>)| {
            // A flow may claim the same thing twice.
            flows.dedup_by_key(|(id, _)| *id);
            (claim, flows)
        };
        self.by_claim.into_iter().map(distinct).filter(|(_, flows)| flows.len() > 1)
    }
}

/// Compares a flow with the stored flows that start automatically.
///
/// # Errors
/// Returns the errors of the repository.
pub async fn shared_with_stored(repository: &dyn FlowRepository, flow: &Flow) -> Result<Vec<SharedClaim>> {
    if claims(flow).is_empty() {
        return Ok(Vec::new());
    }
    let mut claimants = Claimants::with_limit(usize::MAX);
    for other in automatic_flows(repository).await? {
        claimants.add(other.id(), &other);
    }
    Ok(claimants.shared_with(flow.id(), flow))
}

/// Returns the stored flows that start automatically, at most [`MAX_COMPARED`].
///
/// # Errors
/// Returns the errors of the repository.
pub async fn automatic_flows(repository: &dyn FlowRepository) -> Result<Vec<Flow>> {
    let filter = Filter { auto_restart: Some(true), ..Filter::default() };
    let query = ListQuery { filter, limit: Some(MAX_COMPARED), ..ListQuery::default() };
    Ok(repository.list(&query).await?.items.into_iter().map(|stored| stored.item).collect())
}

/// Returns the claims of a flow that starts automatically. Documents that SQL wrote may be invalid; they claim nothing.
fn claims(flow: &Flow) -> Vec<(Path, Claim)> {
    if flow.head().auto_restart { flow.claims().unwrap_or_default() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use strom_store::flow::{Claim, Flow};

    use super::Claimants;

    fn listener(number: u8, port: u16, auto_restart: bool) -> Flow {
        let text = format!(
            r#"{{"id":"57130000-0000-4000-8000-00000000000{number}","name":"flow {number}",
               "properties":{{"auto_restart":{auto_restart}}},"elements":[{{"id":"in","element_type":"srtsrc",
               "properties":{{"uri":"srt://:{port}?mode=listener"}}}}]}}"#
        );
        Flow::parse(&text).unwrap()
    }

    #[test]
    fn only_flows_that_start_automatically_share_claims() {
        let flows =
            [listener(1, 5000, true), listener(2, 5000, true), listener(3, 5000, false), listener(4, 6000, true)];
        let mut claimants = Claimants::with_limit(10);
        flows.iter().for_each(|flow| claimants.add(flow.id(), flow));
        let shared: Vec<_> = flows.iter().map(|flow| claimants.shared_with(flow.id(), flow).len()).collect();
        assert_eq!(shared, [1, 1, 0, 0]);
        let message = &claimants.shared_with(flows[0].id(), &flows[0])[0].message;
        assert!(message.contains("5000") && message.contains("flow 2"), "{message}");
        let all: Vec<_> = claimants.into_shared().map(|(claim, flows)| (claim, flows.len())).collect();
        assert_eq!(all, [(Claim::SrtPort(5000), 2)]);
    }
}
