//! An import: all of its flows or none.
//!
//! First every document is read, checked and put aside ([`Import::read`]); nothing is written before the last one is
//! known to be good. Then the import looks at what is stored, decides flow by flow, and makes all changes in one call under
//! the revisions that it has seen. Where another writer was in between it looks again; one that replaces flows at last does
//! so at whatever revision they are, since those who save all the time would keep it out for ever.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::io::{self, Read};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::Value;

use super::changes::Changes;
use super::documents::{self, InputError, Place};
use super::options::{OnConflict, Options, Progress, Prune};
use super::prune::{self, Pruning};
use super::report::{About, Counts, Entry, FlowWarning, Outcome, Report};
use super::rivals;
use super::spool::{Filling, Slot, Spool};
use crate::flow::{Examined, Flow, FlowId, MAX_NAME, Path, Refusal, Runtime};
use crate::repository::{self, Applied, FlowRepository, RepositoryError, Result, Revision, Stamp, Stored};

/// The most flows of one import. Each takes some hundred bytes of memory while it lasts.
pub const MAX_FLOWS: usize = 1_000_000;
/// How many warnings about one flow are told.
const WARNINGS: usize = 10;
/// How many flows are looked up by one call.
const LOOKED_UP: usize = 10_000;
/// How often an import looks again because another writer was in between.
const ATTEMPTS: usize = 8;
/// After how many of them one that replaces flows insists.
const PATIENCE: usize = 3;

/// Documents that were read and checked.
#[derive(Debug)]
pub struct Import {
    pub(super) spool: Arc<Spool>,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) items: Vec<Item>,
}

/// A document, in its order.
#[derive(Debug)]
pub(super) struct Item {
    about: Slot,
    /// `None` of one that cannot be stored.
    pub(super) good: Option<Good>,
}

/// A document that can be stored.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) id: FlowId,
    pub(super) document: Slot,
    hash: [u8; 32],
    modified: Option<DateTime<Utc>>,
    pub(super) auto_restart: bool,
    pub(super) is_ephemeral: bool,
}

/// What is to be done with a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Create,
    Replace(Revision),
    Unchanged,
    Skip(&'static str),
    Clone(FlowId),
    /// The same import has made it before.
    Cloned(FlowId),
    Refuse(&'static str),
    /// Its document cannot be stored.
    Bad,
}

impl Import {
    /// Reads and checks the documents of an input; waits for it, and for the disk.
    ///
    /// # Errors
    /// When there is no telling where its documents begin and end, when they are too many, or when it broke off. That a
    /// document cannot be stored is part of the report.
    pub fn read(input: impl Read, progress: Arc<dyn Progress>) -> std::result::Result<Self, InputError> {
        let mut reading = Reading::begin(progress)?;
        reading.add(None, input)?;
        reading.finish()
    }

    /// An import of no flows.
    ///
    /// # Errors
    /// When there can be no temporary file.
    pub fn none() -> std::result::Result<Self, InputError> {
        Self::read("[]".as_bytes(), Arc::new(()))
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Stores the flows, all or none. `clone_id` gives the id of the clone of a flow; one that always gives the same makes
    /// no second clone when the import is made again.
    ///
    /// # Errors
    /// Those of the repository. That a flow was refused is part of the report.
    pub async fn run(
        self,
        repository: &dyn FlowRepository,
        options: Options,
        clone_id: impl Fn(FlowId) -> FlowId + Send + Sync,
        stamp: Stamp,
    ) -> Result<Report> {
        for attempt in 0..ATTEMPTS {
            let mut decisions = self.decide(repository, options.on_conflict, &clone_id).await?;
            let pruning = prune::find(repository, &self.items, options.prune).await?;
            let is_refused = |decision: &Decision| matches!(decision, Decision::Refuse(_) | Decision::Bad);
            if !options.dry_run && !pruning.is_refused && !decisions.iter().any(is_refused) {
                let insists = options.on_conflict == OnConflict::Replace && attempt >= PATIENCE;
                let changes = Changes::new(&self, &decisions, &pruning, insists);
                match repository.apply_all(Arc::new(changes), stamp.clone()).await {
                    Ok(applied) if insists => self.correct(&mut decisions, &applied),
                    Ok(_) => {}
                    Err(RepositoryError::Conflict(_)) => continue,
                    Err(error) => return Err(error),
                }
            }
            let rivals = rivals::find(repository, &self.spool, &self.items, &decisions, &pruning.flows).await;
            return Ok(self.report(options, &decisions, pruning, rivals));
        }
        Err(RepositoryError::Busy("other writers of the same flows were always faster".to_owned()))
    }

    /// What is done at whatever revision a flow is may be another thing than was decided.
    fn correct(&self, decisions: &mut [Decision], applied: &[Applied]) {
        let applied: HashMap<_, _> = applied.iter().map(|applied| (applied.id, applied)).collect();
        for (item, decision) in self.items.iter().zip(decisions) {
            let Some(applied) = item.good.as_ref().and_then(|good| applied.get(&good.id)) else { continue };
            *decision = match (applied.outcome, &applied.version) {
                (repository::Outcome::Created, _) => Decision::Create,
                (repository::Outcome::Replaced, Some(version)) => Decision::Replace(version.revision),
                (repository::Outcome::Unchanged, _) => Decision::Unchanged,
                _ => continue,
            };
        }
    }

    async fn decide(
        &self,
        repository: &dyn FlowRepository,
        on_conflict: OnConflict,
        clone_id: &(impl Fn(FlowId) -> FlowId + Send + Sync),
    ) -> Result<Vec<Decision>> {
        let mut decisions = Vec::with_capacity(self.items.len());
        for items in self.items.chunks(LOOKED_UP) {
            let ids = items.iter().filter_map(|item| Some(item.good.as_ref()?.id)).collect();
            let found = look_up(repository, ids).await?;
            decisions.extend(items.iter().map(|item| match &item.good {
                Some(good) => good.decide(found.get(&good.id), on_conflict, clone_id),
                None => Decision::Bad,
            }));
        }
        for decisions in decisions.chunks_mut(LOOKED_UP) {
            let clone = |decision: &Decision| if let Decision::Clone(id) = decision { Some(*id) } else { None };
            let ids: Vec<_> = decisions.iter().filter_map(clone).collect();
            if ids.is_empty() {
                continue;
            }
            let found = look_up(repository, ids).await?;
            for decision in decisions {
                if let Decision::Clone(id) = decision
                    && found.contains_key(id)
                {
                    *decision = Decision::Cloned(*id);
                }
            }
        }
        Ok(decisions)
    }

    fn report(
        self,
        options: Options,
        decisions: &[Decision],
        pruning: Pruning,
        mut rivals: HashMap<usize, Vec<FlowWarning>>,
    ) -> Report {
        let deleted = (options.prune != Prune::Nothing).then_some(pruning.flows.len());
        let mut counts = Counts { deleted, ..Counts::default() };
        let mut entries = Vec::with_capacity(self.items.len());
        for (index, (item, decision)) in self.items.iter().zip(decisions).enumerate() {
            let id = item.good.as_ref().map(|good| good.id);
            let (outcome, count) = match decision {
                Decision::Create => (Outcome::Created, &mut counts.created),
                Decision::Replace(_) => (Outcome::Replaced, &mut counts.replaced),
                Decision::Unchanged => (Outcome::Unchanged, &mut counts.unchanged),
                Decision::Skip(_) => (Outcome::Skipped, &mut counts.skipped),
                Decision::Clone(_) | Decision::Cloned(_) => (Outcome::Cloned, &mut counts.cloned),
                Decision::Refuse(_) | Decision::Bad => (Outcome::Refused, &mut counts.refused),
            };
            *count += 1;
            let (id, cloned_from) = match decision {
                Decision::Clone(clone) | Decision::Cloned(clone) => (Some(*clone), id),
                _ => (id, None),
            };
            let reason =
                if let Decision::Skip(reason) | Decision::Refuse(reason) = decision { Some(*reason) } else { None };
            let warnings = rivals.remove(&index).unwrap_or_default();
            entries.push(Entry { outcome, about: item.about, id, cloned_from, reason, warnings });
        }
        let has_bad_documents = decisions.contains(&Decision::Bad);
        let Pruning { flows: pruned, is_refused: would_delete_all } = pruning;
        let dry_run = options.dry_run;
        Report { dry_run, counts, has_bad_documents, would_delete_all, spool: self.spool, entries, pruned }
    }
}

/// An import of several inputs, while they are read.
#[derive(Debug)]
pub struct Reading {
    spool: Filling,
    progress: Arc<dyn Progress>,
    items: Vec<Item>,
    /// What is said before a place in each of the inputs.
    within: Vec<String>,
    /// In which input and where in it each flow stands that can be stored.
    places: HashMap<FlowId, (usize, Place)>,
}

impl Reading {
    /// Begins with none.
    ///
    /// # Errors
    /// When there is no temporary file to be had.
    pub fn begin(progress: Arc<dyn Progress>) -> std::result::Result<Self, InputError> {
        Ok(Self { spool: Filling::begin()?, progress, items: Vec::new(), within: Vec::new(), places: HashMap::new() })
    }

    /// Reads and checks the documents of one more input; its name is told with what is wrong in it.
    ///
    /// # Errors
    /// As [`Import::read`]. The import is of no use then.
    pub fn add(&mut self, name: Option<&str>, input: impl Read) -> std::result::Result<(), InputError> {
        let this = self.within.len();
        self.within.push(name.map(|name| format!("{name}: ")).unwrap_or_default());
        documents::read(input, |text, place| {
            let Self { spool, progress, items, within, places } = self;
            if items.len() == MAX_FLOWS {
                return Err(InputError::TooLarge(format!("there are over {MAX_FLOWS} flows")));
            }
            let at = |(input, place): (usize, Place), path| format!("{}{}", within[input], place.at(path));
            let here = (this, place);
            let item = match Flow::examine(text) {
                Ok(examined) => match places.entry(examined.flow.id()) {
                    Vacant(free) => {
                        free.insert(here);
                        good(spool, &examined)?
                    }
                    Occupied(first) => {
                        let (here, there) = (at(here, Path::member("id")), at(*first.get(), Path::default()));
                        let id = examined.flow.id();
                        bad(spool, text, format!("{here}: the flow {id} is there already, as {there}"))?
                    }
                },
                Err(Refusal { path, reason }) => bad(spool, text, format!("{}: {reason}", at(here, path)))?,
            };
            items.push(item);
            progress.read(items.len());
            Ok(())
        })
    }

    /// What was read.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn finish(self) -> std::result::Result<Import, InputError> {
        Ok(Import { spool: Arc::new(self.spool.finish()?), progress: self.progress, items: self.items })
    }
}

impl Good {
    fn decide(&self, found: Option<&Found>, on_conflict: OnConflict, clone_id: &impl Fn(FlowId) -> FlowId) -> Decision {
        let Some(found) = found else { return Decision::Create };
        if on_conflict == OnConflict::Clone {
            return Decision::Clone(clone_id(self.id));
        }
        if found.hash == Some(self.hash) {
            return Decision::Unchanged;
        }
        match on_conflict {
            OnConflict::Fail => Decision::Refuse("the flow exists, with another content"),
            OnConflict::Skip => Decision::Skip("the flow exists, with another content"),
            OnConflict::Replace | OnConflict::Clone => Decision::Replace(found.revision),
            OnConflict::Newer => match self.modified {
                None => Decision::Skip("it does not say in `$.properties.last_modified` when it was modified"),
                Some(modified) if modified > found.modified => Decision::Replace(found.revision),
                Some(_) => Decision::Skip("it was not modified later than the flow that exists"),
            },
        }
    }
}

fn good(spool: &mut Filling, examined: &Examined) -> io::Result<Item> {
    let Examined { flow, warnings: found, modified } = examined;
    let hash = flow.hash(Runtime::Left).map_err(io::Error::other)?;
    let mut warnings: Vec<_> = found.iter().take(WARNINGS).map(FlowWarning::from).collect();
    if let Some(more) = found.len().checked_sub(WARNINGS).filter(|more| *more > 0) {
        warnings.push(FlowWarning { path: "$".into(), message: format!("and {more} more") });
    }
    let head = flow.head();
    let document = spool.add(flow.document().get().as_bytes())?;
    let about = spool.add_as_json(&About { name: Some(head.name.clone()), warnings, ..About::default() })?;
    let (auto_restart, is_ephemeral) = (head.auto_restart, flow.is_ephemeral());
    let good = Good { id: head.id, document, hash, modified: *modified, auto_restart, is_ephemeral };
    Ok(Item { about, good: Some(good) })
}

/// What cannot be stored may still be recognised.
fn bad(spool: &mut Filling, text: &str, error: String) -> io::Result<Item> {
    #[derive(Default, Deserialize)]
    struct Seeming {
        id: Option<Value>,
        name: Option<Value>,
    }
    let Seeming { id, name } = serde_json::from_str(text).unwrap_or_default();
    let short = |value: Option<Value>| Some(value?.as_str()?.chars().take(MAX_NAME).collect());
    let about = About { id: short(id), name: short(name), error: Some(error), ..About::default() };
    Ok(Item { about: spool.add_as_json(&about)?, good: None })
}

/// What there is under an id.
struct Found {
    revision: Revision,
    /// `None` of a document that somebody wrote by SQL and that we would refuse; it is like no other.
    hash: Option<[u8; 32]>,
    modified: DateTime<Utc>,
}

async fn look_up(repository: &dyn FlowRepository, ids: Vec<FlowId>) -> Result<HashMap<FlowId, Found>> {
    let found = repository.get_each(ids).map_ok(|Stored { item, version }| {
        let revision = version.revision;
        let (hash, modified) = item.hash_and_modified().map_or((None, None), |(hash, modified)| (Some(hash), modified));
        let found = Found { revision, hash, modified: modified.unwrap_or(version.updated_at) };
        (item.id(), found)
    });
    found.try_collect().await
}
