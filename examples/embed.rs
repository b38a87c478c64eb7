//! The store inside another program: open a storage, follow its changes, save under a precondition, undo a deletion.
//!
//!     cargo run --example embed [PATH | POSTGRESQL-URL]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use strom::repository::{Author, Change, FeedCursor, Precondition, Since, Stamp, ViolationKind};
use strom::storage::Storage;
use strom::{Draft, Flow, FlowRepository, RepositoryError, clock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1).map_or_else(a_temporary_file, Ok)?;
    let flows = Storage::parse(&place)?.open(clock::now()).await?;
    println!("opened {place}");
    let now = flows.change_summaries(Since::Now, 0).await?.next;
    let watching = tokio::spawn(watch(Arc::clone(&flows), now));

    let studio = Draft::parse(r#"{"name": "Studio 1", "elements": []}"#)?.into_flow(clock::new_id())?;
    let created = flows.apply(vec![Change::create(studio.clone())], stamp("editor A")).await?;
    let seen = created[0].version.as_ref().ok_or("a created flow has a version")?.revision;

    // Both have seen the first revision. The first to save wins, the second is told so and loses nothing.
    let a = Flow::parse(&studio.document().get().replace("Studio 1", "Studio 1, main"))?;
    let b = Flow::parse(&studio.document().get().replace("Studio 1", "Studio 1, spare"))?;
    flows.apply(vec![Change::replace_at(a, seen)], stamp("editor A")).await?;
    match flows.apply(vec![Change::replace_at(b, seen)], stamp("editor B")).await {
        Err(RepositoryError::Conflict(violations)) => {
            println!("editor B: {}", violations[0]);
            if let ViolationKind::Stale { current, .. } = &violations[0].kind {
                println!("          now `{}`, by {}", current.item.head().name, current.version.author.as_str());
            }
        }
        other => println!("editor B: {other:?}"),
    }

    // Deleted is not lost.
    flows.apply(vec![Change::delete(studio.id())], stamp("editor B")).await?;
    for deletion in flows.deleted().await? {
        println!("deleted:  `{}` by {}", deletion.item.name, deletion.author.as_str());
    }
    flows.restore(studio.id(), seen, Precondition::Absent, stamp("editor A")).await?;
    for record in flows.history(studio.id(), None, 10).await? {
        println!("history:  {} {} `{}`", record.revision, record.operation.as_str(), record.item.name);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    watching.abort();
    flows.close().await;
    Ok(())
}

/// Prints every change behind this place, each once and in order.
async fn watch(flows: Arc<dyn FlowRepository>, mut place: FeedCursor) -> Result<(), RepositoryError> {
    loop {
        let feed = flows.change_summaries(Since::After(place), 100).await?;
        for change in &feed.changes {
            let (what, by) = (change.operation.as_str(), change.author.as_str());
            println!("watcher:  {what} `{}`, revision {}, by {by}", change.item.name, change.revision);
        }
        place = feed.next;
        if feed.changes.is_empty() {
            flows.changed(place).await;
        }
    }
}

fn stamp(author: &str) -> Stamp {
    Stamp::new(clock::now(), Author::new(author))
}

fn a_temporary_file() -> Result<String, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("strom-embed-{}.json", std::process::id()));
    Ok(path.to_str().ok_or("the temporary directory has no UTF-8 name")?.to_owned())
}
