//! Does the history of every flow lead to what the flow is.
//!
//! Retention lets go of the oldest revisions, so a history may begin anywhere, but has no gaps behind that. Its last record
//! is the flow's present revision with the content that the flow has, or the deletion of a flow that is not there.
//!
//! Flows and histories are read one after the other, and somebody may write meanwhile. So what the first look finds is
//! believed only when a second one, at that flow alone, finds the flow unchanged before and after its history.

use std::collections::HashMap;

use futures::TryStreamExt;

use crate::flow::{Flow, FlowId, Runtime};
use crate::repository::{FeedCursor, FlowRepository, Operation, Record, Result, Revision, Stored};

/// A revision, and the SHA-256 of what people wrote in it; `None` where that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    revision: Revision,
    hash: Option<[u8; 32]>,
}

impl Content {
    pub(super) fn of(flow: &Flow, revision: Revision) -> Self {
        Self { revision, hash: flow.hash(Runtime::Left).ok() }
    }
}

/// Something wrong with the history of a flow.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) id: FlowId,
    pub(super) name: String,
    pub(super) problem: String,
    /// Whether the history lacks no more than what the flow is, so that storing the same once more records it.
    pub(super) lacks_present: bool,
}

/// Reads all histories and compares them with these flows.
pub(super) async fn compare(
    repository: &dyn FlowRepository,
    mut flows: HashMap<FlowId, Content>,
) -> Result<Vec<Fault>> {
    let mut suspects = Vec::new();
    let mut suspect = |id, course: Course| {
        if !course.judge(flows.remove(&id).as_ref()).is_empty() {
            suspects.push(id);
        }
    };
    let mut histories = repository.histories();
    let mut reading: Option<(FlowId, Course)> = None;
    while let Some(record) = histories.try_next().await? {
        let id = record.item.id();
        if let Some((before, course)) = reading.take_if(|(before, _)| *before != id) {
            suspect(before, course);
        }
        let (_, course) = reading.get_or_insert_with(|| (id, Course::default()));
        course.take(&record);
        course.document = Some(record.item);
    }
    drop(histories);
    if let Some((id, course)) = reading {
        suspect(id, course);
    }
    // These have no history at all.
    suspects.extend(flows.into_keys());
    suspects.sort();
    let mut faults = Vec::new();
    for id in suspects {
        faults.extend(look_again(repository, id).await?);
    }
    Ok(faults)
}

/// How often a flow is looked at that somebody goes on writing.
const LOOKS: usize = 5;

/// Whether the history of a flow leads to what the flow is.
pub(super) async fn tells_present(repository: &dyn FlowRepository, id: FlowId) -> Result<bool> {
    Ok(!look_again(repository, id).await?.iter().any(|fault| fault.lacks_present))
}

async fn look_again(repository: &dyn FlowRepository, id: FlowId) -> Result<Vec<Fault>> {
    for _ in 0..LOOKS {
        let before = repository.get(id).await?;
        let (course, name) = course(repository, id).await?;
        let after = repository.get(id).await?;
        let version = |stored: &Option<Stored<Flow>>| stored.as_ref().map(|stored| stored.version.clone());
        if version(&before) == version(&after) {
            let Some(name) = after.as_ref().map(|stored| stored.item.head().name.clone()).or(name) else { break };
            let now = after.map(|stored| Content::of(&stored.item, stored.version.revision));
            let lacks_present = course.lacks(now.as_ref());
            let problems = course.judge(now.as_ref());
            // What stands in the past stays wrong; the last one tells of the present.
            let last = problems.len().saturating_sub(1);
            let fault = |(place, problem)| Fault {
                id,
                name: name.clone(),
                problem,
                lacks_present: lacks_present && place == last,
            };
            return Ok(problems.into_iter().enumerate().map(fault).collect());
        }
    }
    // Whoever writes it again and again makes its history as well.
    Ok(Vec::new())
}

/// How many records are asked for at once.
const PAGE: u32 = 1_000;

/// The history of a flow, and how it was called last.
async fn course(repository: &dyn FlowRepository, id: FlowId) -> Result<(Course, Option<String>)> {
    let mut records = repository.history(id, None, PAGE).await?;
    while records.len().is_multiple_of(PAGE as usize)
        && let Some(oldest) = records.last().map(|record| record.revision)
    {
        let page = repository.history(id, Some(oldest), PAGE).await?;
        if page.is_empty() {
            break;
        }
        records.extend(page);
    }
    let mut course = Course::default();
    for record in records.iter().rev() {
        course.take(record);
    }
    let Some(newest) = records.into_iter().next() else { return Ok((course, None)) };
    course.document = repository.revision(id, newest.revision).await?.map(|record| record.item);
    Ok((course, Some(newest.item.name)))
}

/// The history of one flow, read from its oldest record on.
#[derive(Debug, Default)]
struct Course {
    last: Option<(FeedCursor, Operation, Revision)>,
    /// That of the last record.
    document: Option<Flow>,
    problems: Vec<String>,
}

impl Course {
    fn take<T>(&mut self, record: &Record<T>) {
        let Record { cursor, operation, revision, .. } = *record;
        if let Some((last, before, known)) = self.last.replace((cursor, operation, revision)) {
            // One that moves here may go on from a higher revision than was deleted here.
            let begins_anew = before == Operation::Delete;
            if revision <= known || cursor <= last {
                self.problems.push(format!(
                    "its history is out of order: revision {revision} was not made behind revision {known}; each can still \
                     be read with `strom get --revision`"
                ));
            } else if revision > known.next() && !begins_anew {
                self.problems.push(gap(known.number() + 1, revision.number() - 1));
            }
        }
    }

    /// Whether the flow is at a revision that comes behind all that is told.
    fn lacks(&self, now: Option<&Content>) -> bool {
        let last = self.last.map(|(_, _, revision)| revision);
        now.is_some_and(|now| last.is_none_or(|last| last < now.revision))
    }

    /// What is wrong, if this is the flow now.
    fn judge(mut self, now: Option<&Content>) -> Vec<String> {
        const KEEP: &str = "keep what `strom get` prints before somebody changes the flow";
        const RECORD: &str = "`strom check --repair` records what it is now";
        let remedy = if self.lacks(now) { RECORD } else { KEEP };
        let last = self.last.map(|(_, operation, revision)| (operation, revision));
        self.problems.extend(match (now, last) {
            (None, Some((Operation::Delete, _)) | None) => None,
            (None, Some((_, last))) => Some(format!(
                "it is not there, and its history does not end with its deletion but with revision {last}; `strom restore \
                 --revision {last}` brings it back"
            )),
            (Some(Content { revision, .. }), None) => {
                Some(format!("it has no history, not even of its revision {revision}; {remedy}"))
            }
            (Some(Content { revision, .. }), Some((Operation::Delete, last))) => Some(format!(
                "it is there at revision {revision}, and its history ends with its deletion as revision {last}; {remedy}"
            )),
            (Some(Content { revision, .. }), Some((_, last))) if *revision != last => {
                Some(format!("it is at revision {revision}, and its history ends with revision {last}; {remedy}"))
            }
            (Some(Content { revision, hash }), Some(_)) => {
                let told = self.document.and_then(|document| document.hash(Runtime::Left).ok());
                let differs = hash.zip(told).is_some_and(|(now, told)| now != told);
                differs.then(|| {
                    format!(
                        "its document is not what its history has as revision {revision}; compare with `strom get --revision \
                         {revision}`, and {KEEP}"
                    )
                })
            }
        });
        self.problems
    }
}

fn gap(first: u64, last: u64) -> String {
    let what = match first == last {
        true => format!("revision {first} is missing"),
        false => format!("the revisions {first} to {last} are missing"),
    };
    format!("its history has a gap: {what}; what the flow was then is lost, unless a backup has it")
}
