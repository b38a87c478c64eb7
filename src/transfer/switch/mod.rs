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
//! | `reading` | the flows of the source, checked and put aside |
//! | `moves` | what the target is asked to do |
//! | `report` | what came of it |

mod moves;
mod reading;
mod report;

use std::collections::HashMap;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use self::moves::Moves;
use self::reading::{All, Item, Reading};
pub use self::report::{Counts, Difference, MovedFlow, Obstacle, Outcome, Report};
use super::options::{Progress, UnknownPolicy};
use super::spool::Spool;
use crate::flow::{Flow, FlowId, Runtime};
use crate::repository::{
    self, FeedCursor, FlowRepository, RepositoryError, Revision, Since, Stamp, Stored, Version, ViolationKind,
};

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
    /// Which of them no storage takes, and why.
    refused: Vec<Obstacle>,
    /// What somebody should look at in the source.
    faults: Vec<String>,
    /// The end of the source's feed before the flows were read.
    begun: FeedCursor,
}

/// What is to be done with a flow.
#[derive(Debug, Clone, PartialEq)]
enum Decision {
    Adopt,
    Replace(Revision),
    /// It is there, in this version.
    Unchanged(Version),
    /// Another content is there and stays.
    Skip,
}

/// What is to be done, and what stands in the way.
#[derive(Debug)]
struct Plan {
    decisions: Vec<Decision>,
    obstacles: Vec<Obstacle>,
    /// Flows that only the target has.
    others: usize,
}

impl Switch {
    /// Reads all flows of the source and checks each against what every storage asks of a flow.
    ///
    /// # Errors
    /// When the source or the temporary file fails. That a flow cannot be stored is part of the report.
    pub async fn read(source: &dyn FlowRepository, progress: Arc<dyn Progress>) -> Result<Self, SwitchError> {
        let begun = source.change_summaries(Since::Now, 1).await.map_err(SwitchError::Source)?.newest;
        let mut reading = Reading::begin()?;
        let mut flows = source.snapshot().ready_chunks(reading::CHUNK);
        while let Some(chunk) = flows.next().await {
            let chunk = chunk.into_iter().collect::<repository::Result<_>>().map_err(SwitchError::Source)?;
            reading = reading.take(chunk).await?;
            progress.read(reading.count());
        }
        let All { spool, items, refused } = reading.finish()?;
        let faults = source.health().await.faults;
        Ok(Self { spool, progress, items, refused, faults, begun })
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
        let plan = self.decide(target, existing).await?;
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
        let mut plan = self.decide(Some(target), existing).await?;
        if !plan.obstacles.is_empty() {
            return Ok(self.report(plan, vec![None; self.items.len()], Vec::new()));
        }
        let moves = Moves::new(self, &plan.decisions);
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
            // Of one that was adopted, times and author are those of the source, whatever the target says.
            versions[index] = applied.version.map(|there| match plan.decisions[index] {
                Decision::Adopt => Version { revision: there.revision, ..self.items[index].version.clone() },
                _ => there,
            });
        }
        let differences = self.read_back(target, &versions).await?;
        Ok(self.report(plan, versions, differences))
    }

    async fn decide(&self, target: Option<&dyn FlowRepository>, existing: Existing) -> Result<Plan, SwitchError> {
        let mut plan =
            Plan { decisions: vec![Decision::Adopt; self.items.len()], obstacles: self.refused.clone(), others: 0 };
        let Some(target) = target else { return Ok(plan) };
        let places = self.places();
        let mut there = target.snapshot();
        while let Some(stored) = there.try_next().await.map_err(SwitchError::Target)? {
            let place = places.get(&stored.item.id()).copied();
            match place {
                Some(place) => plan.decisions[place] = self.items[place].decide(&stored, existing),
                None => plan.others += 1,
            }
            if existing == Existing::Fail
                && let Some(reason) = obstacle(place.map(|place| (&self.items[place], &plan.decisions[place])), &stored)
            {
                let name = stored.item.head().name.clone();
                plan.obstacles.push(Obstacle { id: Some(stored.item.id()), name: Some(name), reason });
            }
        }
        Ok(plan)
    }

    /// Compares every flow that should be there, whoever has stored it, with what was read from the source. `versions` are
    /// those that they should have, in the order of the flows.
    async fn read_back(
        &self,
        target: &dyn FlowRepository,
        versions: &[Option<Version>],
    ) -> Result<Vec<Difference>, SwitchError> {
        let places = self.places();
        let mut missing: Vec<bool> = versions.iter().map(Option::is_some).collect();
        let mut differences = Vec::new();
        let mut read = 0;
        let mut there = target.snapshot();
        while let Some(Stored { item: flow, version }) = there.try_next().await.map_err(SwitchError::Target)? {
            let Some(&place) = places.get(&flow.id()) else { continue };
            let Some(expected) = &versions[place] else { continue };
            missing[place] = false;
            let item = &self.items[place];
            if flow.hash(Runtime::Kept).ok() != Some(item.hash) {
                differences.push(item.differs("its document is not the one that was handed over"));
            } else if version != *expected {
                differences.push(item.differs("its revision, times or author are not those that were handed over"));
            }
            read += 1;
            self.progress.read_back(read, versions.len());
        }
        let missing = missing.iter().zip(&*self.items).filter(|(is_missing, _)| **is_missing);
        differences.extend(missing.map(|(_, item)| item.differs("it is not there")));
        Ok(differences)
    }

    /// The place of each flow.
    fn places(&self) -> HashMap<FlowId, usize> {
        self.items.iter().enumerate().map(|(place, item)| (item.id, place)).collect()
    }

    fn report(&self, plan: Plan, versions: Vec<Option<Version>>, differences: Vec<Difference>) -> Report {
        let flows = self.items.iter().zip(&plan.decisions).zip(versions);
        let flows = flows.map(|((item, decision), there)| item.moved(decision, there)).collect();
        Report::new(flows, plan.others, plan.obstacles, differences)
    }
}

impl Decision {
    /// The version that the flow has, as far as it is known before anything is done.
    fn version(&self) -> Option<Version> {
        match self {
            Self::Unchanged(version) => Some(version.clone()),
            Self::Adopt | Self::Replace(_) | Self::Skip => None,
        }
    }
}

impl Item {
    fn decide(&self, there: &Stored<Flow>, existing: Existing) -> Decision {
        // One that somebody wrote by SQL and that we would refuse is like no other.
        let is_same = there.item.hash(Runtime::Kept).ok() == Some(self.hash);
        match existing {
            _ if is_same => Decision::Unchanged(there.version.clone()),
            Existing::Fail | Existing::Skip => Decision::Skip,
            Existing::Replace => Decision::Replace(there.version.revision),
        }
    }

    fn differs(&self, problem: &'static str) -> Difference {
        Difference { id: self.id, name: self.name.to_string(), problem }
    }
}

/// Why a flow of the target is in the way when none is to be touched.
fn obstacle(ours: Option<(&Item, &Decision)>, there: &Stored<Flow>) -> Option<String> {
    let revision = there.version.revision;
    match ours {
        None => Some("the target has this flow, and the source has not".to_owned()),
        Some((item, Decision::Unchanged(version))) if *version == item.version => None,
        Some((item, Decision::Unchanged(_))) => Some(format!(
            "the target has this flow with the same document, as revision {revision} instead of {}",
            item.version.revision
        )),
        Some(_) => Some(format!("the target has this flow with another document, at revision {revision}")),
    }
}
