//! The store inside another program: open a storage, watch it, save under a precondition.
//!
//!     cargo run --example embed [PATH | POSTGRESQL-URL]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use strom::repository::{Author, Change, ListQuery, Stamp, ViolationKind};
use strom::storage::Storage;
use strom::{Draft, Flow, FlowRepository, RepositoryError, clock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1).map_or_else(a_temporary_file, Ok)?;
    let flows = Storage::parse(&place)?.open(clock::now()).await?;
    println!("opened {place}");
    let watching = tokio::spawn(watch(Arc::clone(&flows)));

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

    tokio::time::sleep(Duration::from_millis(300)).await;
    flows.apply(vec![Change::delete(studio.id())], stamp("editor A")).await?;
    watching.abort();
    flows.close().await;
    Ok(())
}

/// Prints each flow that has changed last. A feed that misses nothing in between is still to come.
async fn watch(flows: Arc<dyn FlowRepository>) -> Result<(), RepositoryError> {
    let latest_first =
        ListQuery { sort: "-updated_at".parse().expect("a sort key"), limit: Some(1), ..ListQuery::default() };
    let mut last = None;
    loop {
        for flow in flows.summaries(&latest_first).await?.items {
            if last.as_ref() != Some(&flow.version) {
                println!("watcher:  `{}` is at revision {}", flow.item.name, flow.version.revision);
                last = Some(flow.version);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn stamp(author: &str) -> Stamp {
    Stamp::new(clock::now(), Author::new(author))
}

fn a_temporary_file() -> Result<String, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("strom-embed-{}.json", std::process::id()));
    Ok(path.to_str().ok_or("the temporary directory has no UTF-8 name")?.to_owned())
}
