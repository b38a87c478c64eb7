//! The store inside another program: open a storage, follow its changes, save with a precondition, restore a deleted
//! flow.
//!
//!     cargo run --example embed [PATH | POSTGRESQL-URL]

#![allow(clippy::disallowed_methods, reason = "a program reads the clock and creates ids; the store does not")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::TryStreamExt;
use strom_store::repository::{Author, Change, FeedCursor, Precondition, Since, Stamp, ViolationKind};
use strom_store::storage::Storage;
use strom_store::{Draft, FlowRepository, FlowRepositoryExt, RepositoryError};
use uuid::Uuid;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let temporary = directory.path().join("flows.json").display().to_string();
    let location = std::env::args().nth(1).unwrap_or(temporary);
    let flows = Storage::parse(&location)?.open(Utc::now()).await?;
    println!("opened {location}");
    let position = flows.change_summaries(Since::Now, 0).await?.next;
    let watcher = tokio::spawn(watch(Arc::clone(&flows), position));

    let studio = Draft::parse(r#"{"name": "Studio 1", "elements": []}"#)?.into_flow(Uuid::new_v4().into())?;
    let created = flows.apply_one(Change::create(studio.clone()), stamp("editor A")).await?;
    let seen = created.version.ok_or("a created flow has a version")?.revision;

    // Both editors have read the first revision. The first save wins. The second one receives a conflict and loses
    // nothing.
    let a = studio.merge_patched(r#"{"name": "Studio 1, main"}"#)?;
    let b = studio.merge_patched(r#"{"name": "Studio 1, spare"}"#)?;
    flows.apply_one(Change::replace_at(a, seen), stamp("editor A")).await?;
    match flows.apply_one(Change::replace_at(b, seen), stamp("editor B")).await {
        Err(RepositoryError::Conflict(violations)) => {
            println!("editor B: {}", violations[0]);
            if let ViolationKind::Stale { current, .. } = &violations[0].kind {
                println!("          now `{}`, by {}", current.item.head().name, current.version.author.as_str());
            }
        }
        other => println!("editor B: {other:?}"),
    }

    // The history of a deleted flow stays.
    flows.apply_one(Change::delete(studio.id()), stamp("editor B")).await?;
    for deletion in flows.deleted().await? {
        println!("deleted:  `{}` by {}", deletion.item.name, deletion.author.as_str());
    }
    flows.restore(studio.id(), seen, Precondition::Absent, stamp("editor A")).await?;
    for record in flows.history(studio.id(), None, 10).await? {
        println!("history:  {} {} `{}`", record.revision, record.operation.as_str(), record.item.name);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    watcher.abort();
    flows.close().await?;
    Ok(())
}

/// Prints every change after this position, each once and in order.
async fn watch(flows: Arc<dyn FlowRepository>, position: FeedCursor) -> Result<(), RepositoryError> {
    let mut feed = flows.follow(Since::After(position));
    while let Some(change) = feed.try_next().await? {
        let (operation, author) = (change.operation.as_str(), change.author.as_str());
        println!("watcher:  {operation} `{}`, revision {}, by {author}", change.item.head().name, change.revision);
    }
    Ok(())
}

fn stamp(author: &str) -> Stamp {
    Stamp::new(Utc::now(), Author::new(author))
}
