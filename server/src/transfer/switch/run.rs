//! Plans and makes a switch.

use std::sync::Arc;

use super::changes::SwitchChanges;
use super::error::SwitchError;
use super::options::Existing;
use super::plan::{MoveDecision, Plan};
use super::report::{Obstacle, SwitchReport};
use super::source::Switch;
use super::verify;
use strom_store::repository::{FlowRepository, RepositoryError, Stamp, Version, ViolationKind};

impl Switch {
    /// Reports what [`make`](Self::make) would do, without writing. `None` is a target that does not exist yet.
    ///
    /// # Errors
    /// If the target fails.
    pub async fn plan(
        &self,
        target: Option<&dyn FlowRepository>,
        existing: Existing,
    ) -> Result<SwitchReport, SwitchError> {
        let plan = Plan::make(self, target, existing).await?;
        let versions = plan.decisions.iter().zip(&*self.items).map(|(decision, item)| match decision {
            MoveDecision::Adopt => Some(item.version.clone()),
            MoveDecision::Unchanged(version) => Some(version.clone()),
            MoveDecision::Replace(_) | MoveDecision::Skip => None,
        });
        let versions: Vec<_> = versions.collect();
        Ok(self.report(plan, versions, Vec::new()))
    }

    /// Stores the flows, all or none, and reads them back. If there is an obstacle, writes nothing and reports it.
    ///
    /// # Errors
    /// If the target fails. The same switch can be made again. It recognises flows that were stored before.
    pub async fn make(
        &self,
        target: &dyn FlowRepository,
        existing: Existing,
        stamp: Stamp,
    ) -> Result<SwitchReport, SwitchError> {
        let mut plan = Plan::make(self, Some(target), existing).await?;
        if !plan.obstacles.is_empty() {
            return Ok(self.report(plan, vec![None; self.items.len()], Vec::new()));
        }
        let changes = SwitchChanges::new(self, &plan);
        let indexes = changes.item_indexes();
        let applied = match target.apply(Arc::new(changes), stamp).await {
            Ok(applied) => applied,
            Err(RepositoryError::Conflict(violations)) => {
                plan.obstacles.extend(violations.into_iter().map(|violation| {
                    let reason = match violation.kind {
                        ViolationKind::AlreadyExists => "another writer stored a flow with this id in the meantime",
                        ViolationKind::NotFound => "another writer deleted the flow in the meantime",
                        ViolationKind::Stale { .. } => "another writer changed the flow in the meantime",
                    };
                    Obstacle { id: Some(violation.id), name: None, reason: reason.to_owned() }
                }));
                return Ok(self.report(plan, vec![None; self.items.len()], Vec::new()));
            }
            Err(error) => return Err(SwitchError::Target(error)),
        };
        let mut versions: Vec<_> = plan.decisions.iter().map(MoveDecision::version).collect();
        for (index, applied) in indexes.into_iter().zip(applied) {
            let Some(index) = index else { continue };
            // An adopted flow must have the times and the author of the source, so these are expected when it is read back.
            versions[index] = applied.version.map(|version| match plan.decisions[index] {
                MoveDecision::Adopt => Version { revision: version.revision, ..self.items[index].version.clone() },
                _ => version,
            });
        }
        let mut differences = verify::compare_flows(self, target, &versions).await?;
        differences.extend(verify::compare_histories(self, target, &plan).await?);
        Ok(self.report(plan, versions, differences))
    }
}
