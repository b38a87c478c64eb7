//! Stores an edit of a revision: in its place, or merged with what others have made of it.

use strom::flow::{FlowId, MergeError};
use strom::repository::{self, Change, RepositoryError, Revision, Violation, ViolationKind};
use strom::{Flow, FlowRepository};

use super::Failure;
use super::opening::stamp;
use super::output::{say, tell, visible};
use super::put::{shown, tell_since, warn};

/// How often somebody else may be faster than a merge.
const ATTEMPTS: usize = 8;

/// What somebody has made of a revision.
pub(super) struct Edit<'e> {
    pub(super) revision: Revision,
    pub(super) base: &'e Flow,
    pub(super) yours: &'e Flow,
    /// Whether it may be merged with what others have made of it.
    pub(super) merge: bool,
}

/// What came of it.
pub(super) enum Stored {
    Yes,
    /// Something is in the way, which was told; what can be done by commands that lack the name of the file.
    No(Vec<String>),
}

type Current = repository::Stored<Flow>;

impl Edit<'_> {
    pub(super) async fn store(&self, repository: &dyn FlowRepository) -> Result<Stored, Failure> {
        let id = self.yours.id();
        let mut told = self.revision;
        for _ in 0..ATTEMPTS {
            let Some(current) = repository.get(id).await? else {
                tell(&format!("there is no flow {id}"));
                return Ok(Stored::No(vec!["to store it as a new flow: strom put --new".to_owned()]));
            };
            let revision = current.version.revision;
            if revision != told {
                self.tell_stale(&current);
                told = revision;
            }
            let flow = match self.made_of(&current) {
                Ok(flow) if revision == self.revision || self.merge => flow,
                Ok(_) => return Ok(Stored::No(vec![self.with_merge(), in_place_of(revision)])),
                Err(MergeError::Refused(refusal)) => return Err(Failure::Unreadable { id, refusal }),
                Err(error) => {
                    tell_conflicts(&error);
                    return Ok(Stored::No(vec![in_place_of(revision)]));
                }
            };
            match repository.apply(vec![Change::replace_at(flow.clone(), revision)], stamp()).await {
                Ok(applied) => {
                    if revision != self.revision {
                        self.tell_merged(&current);
                    }
                    warn(&flow);
                    for applied in applied {
                        say(&shown(applied.outcome, id, applied.version.map(|version| version.revision)))?;
                    }
                    return Ok(Stored::Yes);
                }
                Err(RepositoryError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(always_faster(id))
    }

    /// The edit of the flow as it is. What an engine has reported in the meantime makes no revision, and stays.
    fn made_of(&self, current: &Current) -> Result<Flow, MergeError> {
        match current.item.document().get() == self.base.document().get() {
            true => Ok(self.yours.clone()),
            false => self.yours.merged(self.base, &current.item),
        }
    }

    fn with_merge(&self) -> String {
        format!("to bring both together: strom put --merge --if-revision {}", self.revision)
    }

    fn tell_stale(&self, current: &Current) {
        let kind = ViolationKind::Stale { expected: self.revision, current: Box::new(current.clone()) };
        tell(&Violation { index: 0, id: self.base.id(), kind }.to_string());
        tell_since(&self.base.difference(&current.item).unwrap_or_default());
    }

    fn tell_merged(&self, current: &Current) {
        let changes = |flow| self.base.difference(flow).unwrap_or_default().count_in_words();
        tell(&visible(&format!(
            "your edit of revision {} ({}) was merged with revision {} by {} ({})",
            self.revision,
            changes(self.yours),
            current.version.revision,
            current.version.author.as_str(),
            changes(&current.item),
        )));
    }
}

fn in_place_of(revision: Revision) -> String {
    format!("to store it in place of revision {revision}: strom put --if-revision {revision}")
}

fn tell_conflicts(error: &MergeError) {
    let MergeError::Conflicts(conflicts, more) = error else { return };
    for conflict in conflicts {
        tell(&format!("in the way: {}", visible(&conflict.words)));
    }
    if *more > 0 {
        tell(&format!("in the way: and {more} more"));
    }
}

fn always_faster(id: FlowId) -> Failure {
    RepositoryError::Busy(format!("the flow {id} changed {ATTEMPTS} times in a row")).into()
}
