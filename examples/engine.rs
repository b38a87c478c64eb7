//! The store under an engine whose storage interface is `load_all`, `save_flow` and `delete_flow`.
//!
//!     cargo run --example engine [PATH | POSTGRESQL-URL]
//!
//! The engine loads all flows at start, saves edits with a precondition, reports which flows are running without
//! creating revisions, and follows the change feed to pick up edits that other programs make. [`EngineStorage`] is the
//! part to copy.

#![allow(clippy::disallowed_methods, reason = "a program reads the clock and creates ids; the store does not")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use futures::TryStreamExt;
use strom_store::repository::{
    Applied, Author, Change, FeedCursor, Operation, Outcome, Record, Revision, Since, Stamp, ViolationKind,
};
use strom_store::storage::Storage;
use strom_store::{Draft, Flow, FlowId, FlowRepository, FlowRepositoryExt, GstState, RepositoryError};

/// The storage interface of the engine.
struct EngineStorage {
    flows: Arc<dyn FlowRepository>,
    known: Mutex<HashMap<FlowId, Known>>,
}

/// The last revision of a flow that the engine has seen.
#[derive(Clone, Copy)]
struct Known {
    revision: Revision,
    is_deleted: bool,
}

/// The outcome of a save.
enum Saved {
    /// The flow is stored.
    Stored,
    /// Another program saved the flow first. The engine decides: merge its edit into this flow, or ask the user.
    Conflict(Box<Flow>),
}

impl EngineStorage {
    fn new(flows: Arc<dyn FlowRepository>) -> Self {
        Self { flows, known: Mutex::default() }
    }

    /// Returns all flows as of one moment, and the feed position from which to follow later changes.
    async fn load_all(&self) -> Result<(HashMap<FlowId, Flow>, FeedCursor), RepositoryError> {
        // The position first: a change between these two calls is then in the feed, and perhaps in the snapshot as
        // well.
        let position = self.flows.change_summaries(Since::Now, 0).await?.next;
        let stored: Vec<_> = self.flows.snapshot().try_collect().await?;
        for flow in &stored {
            self.remember(flow.item.id(), flow.version.revision, false);
        }
        Ok((stored.into_iter().map(|flow| (flow.item.id(), flow.item)).collect(), position))
    }

    /// Saves an edit. Creates the flow if the engine does not know it.
    async fn save_flow(&self, flow: &Flow) -> Result<Saved, RepositoryError> {
        let change = match self.known(flow.id()) {
            Some(Known { revision, is_deleted: false }) => Change::replace_at(flow.clone(), revision),
            _ => Change::create(flow.clone()),
        };
        match self.flows.apply_one(change, self.stamp()).await {
            Ok(applied) => {
                self.remember_outcome(&applied);
                Ok(Saved::Stored)
            }
            Err(error) => self.current_flow(error).map(Saved::Conflict),
        }
    }

    /// Reports the state of a pipeline. The report never fails because of an edit: content and runtime members are
    /// independent, so the report is repeated on the edited flow.
    async fn report_state(&self, id: FlowId, state: GstState) -> Result<(), RepositoryError> {
        while let Some(stored) = self.flows.get(id).await? {
            let reported = stored.item.with_state(state).map_err(|refusal| RepositoryError::Failed(refusal.into()))?;
            let report = Change::replace_at(reported, stored.version.revision);
            match self.flows.apply_one(report, self.stamp()).await {
                Ok(applied) => {
                    assert_eq!(applied.outcome, Outcome::Unchanged, "a report creates no revision");
                    return Ok(());
                }
                Err(RepositoryError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes a flow, whatever its revision. Its history stays, so it can be restored.
    async fn delete_flow(&self, id: FlowId) -> Result<(), RepositoryError> {
        let applied = self.flows.apply_one(Change::delete(id), self.stamp()).await?;
        self.remember_outcome(&applied);
        Ok(())
    }

    /// Returns whether a record of the feed is news to the engine. The feed also contains the engine's own saves, and
    /// changes that it has seen in a conflict.
    fn accept(&self, record: &Record<Flow>) -> bool {
        let id = record.item.id();
        // Reports come from this engine. They do not change the revision.
        let is_new =
            record.operation != Operation::State && self.known(id).is_none_or(|known| record.revision > known.revision);
        if is_new {
            self.remember(id, record.revision, record.operation == Operation::Delete);
        }
        is_new
    }

    /// Returns the flow that another program has saved, or the error if it is not a conflict of that kind.
    fn current_flow(&self, error: RepositoryError) -> Result<Box<Flow>, RepositoryError> {
        match &error {
            RepositoryError::Conflict(violations) => match &violations[0].kind {
                ViolationKind::Stale { current, .. } => {
                    self.remember(current.item.id(), current.version.revision, false);
                    Ok(Box::new(current.item.clone()))
                }
                _ => Err(error),
            },
            _ => Err(error),
        }
    }

    fn remember_outcome(&self, applied: &Applied) {
        if let Some(version) = &applied.version {
            self.remember(applied.id, version.revision, applied.outcome == Outcome::Deleted);
        }
    }

    fn remember(&self, id: FlowId, revision: Revision, is_deleted: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id, Known { revision, is_deleted });
    }

    fn known(&self, id: FlowId) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(Utc::now(), Author::new("engine"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let temporary = directory.path().join("flows.json").display().to_string();
    let flows = Storage::parse(&std::env::args().nth(1).unwrap_or(temporary))?.open(Utc::now()).await?;
    let storage = EngineStorage::new(Arc::clone(&flows));

    let (mut loaded, position) = storage.load_all().await?;
    println!("engine: loaded {} flows", loaded.len());
    let studio = Draft::parse(r#"{"name": "Studio 1"}"#)?.into_flow(uuid::Uuid::new_v4().into())?;
    let id = studio.id();
    storage.save_flow(&studio).await?;
    loaded.insert(id, studio.clone());

    storage.report_state(id, GstState::Playing).await?;
    let stored = flows.get(id).await?.ok_or("the flow was saved")?;
    println!("engine: `Studio 1` is {}, still revision {}", stored.item.head().state.as_str(), stored.version.revision);

    // Another program edits the flow, for example the server or psql.
    let edited = stored.item.merge_patched(r#"{"name": "Studio 1, edited elsewhere"}"#)?;
    flows.apply_one(Change::replace(edited), Stamp::new(Utc::now(), Author::new("editor"))).await?;

    // The engine has not seen that edit yet, so its own edit is a conflict. It repeats the edit on the current flow.
    let patch = r#"{"properties": {"auto_restart": true}}"#;
    if let Saved::Conflict(current) = storage.save_flow(&studio.merge_patched(patch)?).await? {
        println!("engine: conflict, the flow is `{}` now; repeating the edit", current.head().name);
        storage.save_flow(&current.merge_patched(patch)?).await?;
    }
    let renamed =
        flows.get(id).await?.ok_or("the flow was saved")?.item.merge_patched(r#"{"name": "Studio 1, main"}"#)?;
    flows.apply_one(Change::replace(renamed), Stamp::new(Utc::now(), Author::new("editor"))).await?;

    // An engine follows the feed for as long as it runs. This one stops after the edit that it is waiting for.
    let mut feed = flows.follow(Since::After(position));
    while let Some(record) = feed.try_next().await? {
        if storage.accept(&record) {
            println!(
                "engine: {} by {}: `{}`",
                record.operation.as_str(),
                record.author.as_str(),
                record.item.head().name
            );
            match record.operation {
                Operation::Delete => loaded.remove(&id),
                _ => loaded.insert(id, record.item),
            };
            break;
        }
    }
    drop(feed);
    storage.delete_flow(id).await?;
    println!("engine: deleted the flow, {} revisions stay in its history", flows.history(id, None, 100).await?.len());
    flows.close().await?;
    Ok(())
}
