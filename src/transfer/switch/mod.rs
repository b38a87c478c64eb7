//! A switch: every flow of one storage into another, with its id, times, revision and author; all of them or none.
//!
//! First every flow of the source is read as of one moment, checked and put aside ([`Switch::read`]). Then the target is
//! looked at and decided flow by flow ([`Switch::plan`]); what stands in the way is listed, all of it, and nothing is
//! written as long as there is anything. [`Switch::make`] hands over all flows in one call, reads every one of them back and
//! compares. The source is only read, and whether somebody has changed it meanwhile is told by
//! [`Switch::source_has_changed`].
//!
//! | file | what |
//! |---|---|
//! | `reading`, `past` | the flows of the source and their histories, checked and put aside |
//! | `plan` | what is to be done with each, and what stands in the way |
//! | `moves` | what the target is asked to do |
//! | `proof` | the reading back |
//! | `report` | what came of it |
//! | `archive` | the same by way of a file: backups |

mod archive;
mod moves;
mod past;
mod plan;
mod proof;
mod reading;
mod report;

use std::collections::HashMap;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use futures::StreamExt;
use tokio::task::spawn_blocking;

pub use self::archive::{ArchiveError, Contents, Origin};
use self::moves::Moves;
use self::past::{Gone, Histories, Pasts, ReadingPasts};
use self::plan::{Decision, Plan};
use self::reading::{All, Item, Reading};
pub use self::report::{Counts, Difference, Hash, MovedDeletion, MovedFlow, MovedHistories, Obstacle, Outcome, Report};
use super::options::{Progress, UnknownPolicy};
use super::spool::Spool;
use crate::flow::FlowId;
use crate::repository::{self, FeedCursor, FlowRepository, RepositoryError, Since, Stamp, Version, ViolationKind};

/// What is done where the target has flows already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// The switch is refused, unless they are those of the source in the same versions: then it was made before.
    #[default]
    Fail,
    /// They stay; of the source only those move whose ids are free.
    Skip,
    /// Those of the source take the place of what has their ids, each as a new revision there. All others stay.
    Replace,
}

impl FromStr for Existing {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            "replace" => Ok(Self::Replace),
            _ => Err(UnknownPolicy),
        }
    }
}

/// What is done with what flows were before, and with those that were deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum History {
    /// It stays behind: flows begin in the target with the revision that they have.
    #[default]
    Left,
    /// Every revision that is kept moves as well, and the deleted flows with theirs. A flow that takes the place of another one
    /// goes on with the history that is there.
    Carried,
}

/// Which part of a switch has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// The storage that the flows come from.
    #[error("the source: {}", told(.0))]
    Source(RepositoryError),
    /// The storage that they are to move to.
    #[error("the target: {}", told(.0))]
    Target(RepositoryError),
    /// The temporary file where they wait.
    #[error("the temporary file: {0}")]
    NotKept(#[from] io::Error),
}

/// What a command says of an error, whose source is told nowhere else.
fn told(error: &RepositoryError) -> String {
    match error {
        RepositoryError::Failed(source) => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}

/// The flows of a source as of one moment.
#[derive(Debug)]
pub struct Switch {
    spool: Arc<Spool>,
    progress: Arc<dyn Progress>,
    items: Arc<[Item]>,
    /// Where they are carried along.
    histories: Option<Arc<Pasts>>,
    /// Which of them no storage takes, and why.
    refused: Vec<Obstacle>,
    /// What somebody should look at in the source.
    faults: Vec<String>,
    /// The end of the source's feed before the flows were read.
    begun: FeedCursor,
}

impl Switch {
    /// Reads all flows of the source and checks each against what every storage asks of a flow.
    ///
    /// # Errors
    /// When the source or the temporary file fails. That a flow cannot be stored is part of the report.
    pub async fn read(
        source: &dyn FlowRepository,
        history: History,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, SwitchError> {
        let begun = source.change_summaries(Since::Now, 1).await.map_err(SwitchError::Source)?.newest;
        let mut reading = Reading::begin()?;
        let mut flows = source.snapshot().ready_chunks(reading::CHUNK);
        while let Some(chunk) = flows.next().await {
            let chunk = chunk.into_iter().collect::<repository::Result<_>>().map_err(SwitchError::Source)?;
            reading = reading.take(chunk).await?;
            progress.read(reading.count());
        }
        let All { spool, items, refused } = reading.finish()?;
        let mut switch = Self { spool, progress, items, histories: None, refused, faults: Vec::new(), begun };
        if history == History::Carried {
            switch.read_histories(source).await?;
        }
        switch.faults = source.health().await.faults;
        Ok(switch)
    }

    async fn read_histories(&mut self, source: &dyn FlowRepository) -> Result<(), SwitchError> {
        let places = self.places();
        let mut reading = ReadingPasts::begin()?;
        let mut histories = Histories::of(source);
        while let Some(records) = histories.next().await.map_err(SwitchError::Source)? {
            let (spool, items) = (Arc::clone(&self.spool), Arc::clone(&self.items));
            let place = places.get(&records[0].item.id()).copied();
            let taking = spawn_blocking(move || {
                let now = place.map(|place| items[place].stored(&spool)).transpose()?;
                reading.take(now, records)?;
                Ok(reading)
            });
            reading = taking.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))?;
        }
        self.refused.append(&mut reading.refused);
        self.histories = Some(Arc::new(reading.finish()?));
        Ok(())
    }

    /// How many flows were read and can be stored.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether some of the flows cannot be stored anywhere, so that nothing will move.
    pub fn is_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Those that cannot be stored anywhere, and why.
    pub fn refused(&self) -> &[Obstacle] {
        &self.refused
    }

    /// What the source says somebody should look at; a flow that it cannot read is among it, and is not among those that
    /// were read.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Whether somebody has changed the source since it was read. What he did is not in the target.
    ///
    /// # Errors
    /// When the source fails.
    pub async fn source_has_changed(&self, source: &dyn FlowRepository) -> Result<bool, SwitchError> {
        match source.change_summaries(Since::Now, 1).await {
            Ok(feed) => Ok(feed.newest != self.begun),
            Err(error) => Err(SwitchError::Source(error)),
        }
    }

    /// Says what [`make`](Self::make) would do, and writes nothing. A target that is not there yet has no flows.
    ///
    /// # Errors
    /// When the target fails.
    pub async fn plan(&self, target: Option<&dyn FlowRepository>, existing: Existing) -> Result<Report, SwitchError> {
        let plan = Plan::make(self, target, existing).await?;
        let versions = plan.decisions.iter().zip(&*self.items).map(|(decision, item)| match decision {
            Decision::Adopt => Some(item.version.clone()),
            Decision::Unchanged(version) => Some(version.clone()),
            Decision::Replace(_) | Decision::Skip => None,
        });
        let versions: Vec<_> = versions.collect();
        Ok(self.report(plan, versions, Vec::new()))
    }

    /// Stores the flows, all or none, and reads them back. Where something stands in the way, that is the report, and nothing
    /// was written.
    ///
    /// # Errors
    /// When the target fails. The same switch can be made again: what was stored before is found there.
    pub async fn make(
        &self,
        target: &dyn FlowRepository,
        existing: Existing,
        stamp: Stamp,
    ) -> Result<Report, SwitchError> {
        let mut plan = Plan::make(self, Some(target), existing).await?;
        if !plan.obstacles.is_empty() {
            return Ok(self.report(plan, vec![None; self.items.len()], Vec::new()));
        }
        let moves = Moves::new(self, &plan);
        let moved = moves.items();
        let applied = match target.apply_all(Arc::new(moves), stamp).await {
            Ok(applied) => applied,
            Err(RepositoryError::Conflict(violations)) => {
                plan.obstacles.extend(violations.into_iter().map(|violation| {
                    let reason = match violation.kind {
                        ViolationKind::AlreadyExists => "somebody has stored a flow with this id meanwhile",
                        ViolationKind::NotFound => "somebody has deleted the flow meanwhile",
                        ViolationKind::Stale { .. } => "somebody has changed the flow meanwhile",
                    };
                    Obstacle { id: Some(violation.id), name: None, reason: reason.to_owned() }
                }));
                return Ok(self.report(plan, vec![None; self.items.len()], Vec::new()));
            }
            Err(error) => return Err(SwitchError::Target(error)),
        };
        let mut versions: Vec<_> = plan.decisions.iter().map(Decision::version).collect();
        for (index, applied) in moved.into_iter().zip(applied) {
            let Some(index) = index else { continue };
            // Of one that was adopted, times and author are those of the source, whatever the target says.
            versions[index] = applied.version.map(|there| match plan.decisions[index] {
                Decision::Adopt => Version { revision: there.revision, ..self.items[index].version.clone() },
                _ => there,
            });
        }
        let mut differences = proof::flows(self, target, &versions).await?;
        differences.extend(proof::histories(self, target, &plan).await?);
        Ok(self.report(plan, versions, differences))
    }

    /// The place of each flow.
    fn places(&self) -> HashMap<FlowId, usize> {
        self.items.iter().enumerate().map(|(place, item)| (item.id, place)).collect()
    }

    /// Those that were deleted, where histories are carried along.
    fn gone(&self) -> &[Gone] {
        self.histories.as_ref().map_or(&[], |histories| &histories.gone)
    }

    fn report(&self, plan: Plan, versions: Vec<Option<Version>>, differences: Vec<Difference>) -> Report {
        let flows = self.items.iter().zip(&plan.decisions).zip(versions);
        let flows = flows.map(|((item, decision), there)| item.moved(decision, there)).collect();
        let histories = self.histories.as_ref().map(|_| MovedHistories::new(self, &plan));
        Report::new(flows, histories, plan.others, plan.obstacles, differences)
    }
}
