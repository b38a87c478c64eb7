//! Stores an edit of a revision. If the flow has a later revision, merges the edit or reports a conflict.

use strom_store::flow::{FlowId, MergeError};
use strom_store::repository::FlowRepositoryExt as _;
use strom_store::repository::{self, Change, Precondition, RepositoryError, Revision, Violation, ViolationKind};
use strom_store::{Flow, FlowRepository};

use super::failure::Failure;
use super::output::{eprint, escaped};
use super::repository::stamp;
use super::save_report::{print_changes_since, print_outcomes, print_warnings};

/// Maximum number of attempts while other writers change the flow.
const ATTEMPTS: usize = 8;

/// An edit of a revision.
pub(super) struct Edit<'e> {
    pub(super) revision: Revision,
    pub(super) base: &'e Flow,
    pub(super) yours: &'e Flow,
    /// Whether the edit may be merged with later changes.
    pub(super) merge: bool,
}

/// The result of saving an edit.
pub(super) enum Saved {
    Yes,
    /// A conflict, which was printed. Contains possible next commands without the name of the file.
    No(Vec<String>),
}

type Current = repository::Stored<Flow>;

impl Edit<'_> {
    pub(super) async fn store(&self, repository: &dyn FlowRepository) -> Result<Saved, Failure> {
        let id = self.yours.id();
        let mut reported = self.revision;
        for _ in 0..ATTEMPTS {
            let Some(current) = repository.get(id).await? else {
                eprint(&format!("there is no flow {id}"));
                return Ok(Saved::No(vec!["to store it as a new flow: strom put --new".to_owned()]));
            };
            let revision = current.version.revision;
            if revision != reported {
                self.print_stale(&current);
                reported = revision;
            }
            let flow = match self.apply_to(&current) {
                Ok(flow) if revision == self.revision || self.merge => flow,
                Ok(_) => return Ok(Saved::No(vec![self.merge_command(), replace_command(revision)])),
                Err(MergeError::Refused(refusal)) => return Err(Failure::Unreadable { id, refusal }),
                Err(error) => {
                    print_conflicts(&error);
                    return Ok(Saved::No(vec![replace_command(revision)]));
                }
            };
            match repository.apply_all(vec![Change::Put(flow.clone(), Precondition::exactly(&current))], stamp()).await
            {
                Ok(applied) => {
                    if revision != self.revision {
                        self.print_merged(&current);
                    }
                    print_warnings(&flow);
                    print_outcomes(applied)?;
                    return Ok(Saved::Yes);
                }
                Err(RepositoryError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_many_attempts(id))
    }

    /// Applies the edit to the current flow. An engine may have reported runtime members without a new revision. The merge
    /// keeps them.
    fn apply_to(&self, current: &Current) -> Result<Flow, MergeError> {
        match current.item.document().get() == self.base.document().get() {
            true => Ok(self.yours.clone()),
            false => self.yours.merged(self.base, &current.item),
        }
    }

    fn merge_command(&self) -> String {
        format!("to merge both edits: strom put --merge --if-revision {}", self.revision)
    }

    fn print_stale(&self, current: &Current) {
        let kind = ViolationKind::Stale { expected: self.revision, current: Box::new(current.clone()) };
        eprint(&Violation::new(0, self.base.id(), kind).to_string());
        print_changes_since(&self.base.difference(&current.item).unwrap_or_default());
    }

    fn print_merged(&self, current: &Current) {
        let changes = |flow| self.base.difference(flow).unwrap_or_default().count_in_words();
        eprint(&escaped(&format!(
            "your edit of revision {} ({}) was merged with revision {} by {} ({})",
            self.revision,
            changes(self.yours),
            current.version.revision,
            current.version.author.as_str(),
            changes(&current.item),
        )));
    }
}

fn replace_command(revision: Revision) -> String {
    format!("to overwrite revision {revision}: strom put --if-revision {revision}")
}

fn print_conflicts(error: &MergeError) {
    let MergeError::Conflicts(conflicts, more) = error else { return };
    for conflict in conflicts {
        eprint(&format!("conflict: {}", escaped(&conflict.words)));
    }
    if *more > 0 {
        eprint(&format!("conflict: and {more} more"));
    }
}

fn too_many_attempts(id: FlowId) -> Failure {
    RepositoryError::Busy(format!("the flow {id} changed {ATTEMPTS} times in a row")).into()
}
