//! `strom watch`: prints changes until a signal stops it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use strom_store::FlowRepository;
use strom_store::flow::{FlowId, Head};
use strom_store::repository::{FeedCursor, InvalidFeedCursor, Record, RepositoryError, Since};
use tokio::time::timeout;

use super::answer::Answer;
use super::failure::Failure;
use super::output::{Output, eprint, escaped, timestamp, to_json};
use super::repository::{Purpose, with_storage};
use super::signals::Stop;
use crate::config::Flags;

/// Maximum number of changes in memory.
const PAGE: u32 = 500;
/// Delay between attempts while the storage is unavailable.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Delay before a message explains why expected changes are not visible yet.
const MESSAGE_DELAY: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
If a server uses the JSON file, follow the changes through that server: GET /api/changes.

Examples:
  strom watch
  strom watch --since 0 --until-now        show all retained changes
  strom watch --json | jq -r .name";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Start after this cursor; `0`: the oldest retained change [default: now]
    #[arg(long, value_name = "CURSOR", value_parser = since)]
    since: Option<Since>,

    /// Exit after all changes up to now
    #[arg(long)]
    until_now: bool,

    /// Print one JSON object per line, as in `GET /api/changes`
    #[arg(long)]
    json: bool,
}

fn since(text: &str) -> Result<Since, InvalidFeedCursor> {
    if text == "0" { Ok(Since::Oldest) } else { text.parse().map(Since::After) }
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let mut stop = Stop::on_signal()?;
    with_storage(flags, Purpose::Follow, async move |repository| {
        tokio::select! {
            followed = follow(repository, &arguments) => followed?,
            // A signal is the normal end.
            () = stop.requested() => {}
        }
        Ok(Answer::Done)
    })
    .await
}

async fn follow(repository: &dyn FlowRepository, arguments: &Arguments) -> Result<(), Failure> {
    let mut out = Output::new();
    let mut since = arguments.since.unwrap_or(Since::Now);
    let mut is_unavailable = false;
    // The end of the feed at the start, for --until-now.
    let mut end = None;
    loop {
        let feed = match repository.change_summaries(since, PAGE).await {
            Err(error) if error.is_retryable() && !arguments.until_now => {
                if !std::mem::replace(&mut is_unavailable, true) {
                    eprint(&format!("warning: {error}; retrying until it is available"));
                }
                tokio::time::sleep(retry_delay(&error)).await;
                continue;
            }
            feed => feed?,
        };
        if std::mem::replace(&mut is_unavailable, false) {
            eprint("the storage is available again; no change was missed");
        }
        for record in &feed.changes {
            show(&mut out, record, arguments.json)?;
        }
        out.finish()?;
        let end = *end.get_or_insert(if since == Since::Now { feed.next } else { feed.newest });
        // Retention may have deleted the record at `end` in the meantime.
        if !out.has_reader() || (arguments.until_now && feed.next >= end.min(feed.newest)) {
            return Ok(());
        }
        since = Since::After(feed.next);
        if feed.changes.is_empty() {
            wait(repository, feed.next, arguments.until_now).await;
        }
    }
}

/// Waits for a change after this cursor. If one is expected immediately, a message explains a delay.
async fn wait(repository: &dyn FlowRepository, cursor: FeedCursor, is_expected: bool) {
    let mut changed = repository.changed(cursor);
    if is_expected {
        if timeout(MESSAGE_DELAY, &mut changed).await.is_ok() {
            return;
        }
        eprint("waiting for an open transaction on the server: its changes may precede the latest changes");
    }
    changed.await;
}

fn retry_delay(error: &RepositoryError) -> Duration {
    match error {
        RepositoryError::Unavailable { retry_after, .. } => (*retry_after).max(RETRY_DELAY),
        _ => RETRY_DELAY,
    }
}

fn show(out: &mut Output, record: &Record<Head>, is_json: bool) -> Result<(), Failure> {
    let Record { cursor, operation, item: head, revision, author, .. } = record;
    if is_json {
        let (name, author) = (head.name.as_str(), author.as_str());
        let change = JsonChange {
            cursor: *cursor,
            op: operation.as_str(),
            flow_id: head.id,
            name,
            revision: revision.number(),
            at: record.at,
            author,
        };
        return out.line(&to_json(&change)?);
    }
    out.line(&format!(
        "{}  {:7}  {}  {:>5}  {:10}  {}",
        timestamp(record.at),
        operation.as_str(),
        head.id,
        revision.number(),
        escaped(author.as_str()),
        escaped(&head.name)
    ))
}

/// A change in the form of `GET /api/changes`.
#[derive(Serialize)]
struct JsonChange<'a> {
    #[serde(serialize_with = "display")]
    cursor: FeedCursor,
    op: &'static str,
    flow_id: FlowId,
    name: &'a str,
    revision: u64,
    at: DateTime<Utc>,
    author: &'a str,
}

fn display<S: serde::Serializer>(cursor: &FeedCursor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}
