//! `strom watch`: follows the changes of all flows until it is stopped.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use strom::FlowRepository;
use strom::flow::{FlowId, Head};
use strom::repository::{FeedCursor, InvalidFeedCursor, Record, RepositoryError, Since};
use tokio::time::timeout;

use super::opening::{Purpose, with_storage};
use super::output::{self, Output, at, tell, visible};
use super::signals::Signals;
use super::{Answer, Failure};
use crate::config::Flags;

/// So many changes are in memory at a time.
const PAGE: u32 = 500;
/// Between two questions to a storage that does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long changes may be on their way before that is said.
const PATIENCE: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "A JSON file that a server has is followed through that server alone: GET /api/changes.

Examples:
  strom watch
  strom watch --since 0 --until-now        all changes that are kept
  strom watch --json | jq -r .name";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Begin behind this cursor, of --json or of the API; `0` is the oldest change that is kept [default: from now on]
    #[arg(long, value_name = "CURSOR", value_parser = since)]
    since: Option<Since>,

    /// End when all changes that were made by now have been shown, instead of waiting for others
    #[arg(long)]
    until_now: bool,

    /// For machines: one object a line, as in `GET /api/changes`
    #[arg(long)]
    json: bool,
}

fn since(text: &str) -> Result<Since, InvalidFeedCursor> {
    if text == "0" { Ok(Since::Oldest) } else { text.parse().map(Since::After) }
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    with_storage(flags, Purpose::Follow, async |repository| {
        tokio::select! {
            followed = follow(repository, &arguments) => followed?,
            // To stop it is how it ends.
            () = signals.next() => {}
        }
        Ok(Answer::Done)
    })
    .await
}

async fn follow(repository: &dyn FlowRepository, arguments: &Arguments) -> Result<(), Failure> {
    let mut out = Output::new();
    let mut since = arguments.since.unwrap_or(Since::Now);
    let mut is_away = false;
    // What was made before we came ends with it.
    let mut now = None;
    loop {
        let feed = match repository.change_summaries(since, PAGE).await {
            Err(error) if error.is_retryable() && !arguments.until_now => {
                if !std::mem::replace(&mut is_away, true) {
                    tell(&format!("warning: {error}; waiting for it"));
                }
                tokio::time::sleep(pause(&error)).await;
                continue;
            }
            feed => feed?,
        };
        if std::mem::replace(&mut is_away, false) {
            tell("it is back, and nothing was missed");
        }
        for record in &feed.changes {
            show(&mut out, record, arguments.json)?;
        }
        out.finish()?;
        let now = *now.get_or_insert(if since == Since::Now { feed.next } else { feed.newest });
        // What was last may have been dropped since.
        if !out.is_read() || (arguments.until_now && feed.next >= now.min(feed.newest)) {
            return Ok(());
        }
        since = Since::After(feed.next);
        if feed.changes.is_empty() {
            wait(repository, feed.next, arguments.until_now).await;
        }
    }
}

/// Returns when there is more behind this place. Who expects it at once is told why it does not come.
async fn wait(repository: &dyn FlowRepository, place: FeedCursor, is_expected: bool) {
    let mut changed = repository.changed(place);
    if is_expected {
        if timeout(PATIENCE, &mut changed).await.is_ok() {
            return;
        }
        tell("waiting for a transaction on the server: until it ends, it could still come before the last changes");
    }
    changed.await;
}

fn pause(error: &RepositoryError) -> Duration {
    match error {
        RepositoryError::Unavailable { retry_after, .. } => (*retry_after).max(PAUSE),
        _ => PAUSE,
    }
}

fn show(out: &mut Output, record: &Record<Head>, is_json: bool) -> Result<(), Failure> {
    let Record { cursor, operation, item: head, revision, author, .. } = record;
    if is_json {
        let (name, author) = (head.name.as_str(), author.as_str());
        let change = Change {
            cursor: *cursor,
            op: operation.as_str(),
            flow_id: head.id,
            name,
            revision: revision.number(),
            at: record.at,
            author,
        };
        return out.line(&output::json(&change)?);
    }
    out.line(&format!(
        "{}  {:7}  {}  {:>5}  {:10}  {}",
        at(record.at),
        operation.as_str(),
        head.id,
        revision.number(),
        visible(author.as_str()),
        visible(&head.name)
    ))
}

/// One change, as the API shows it.
#[derive(Serialize)]
struct Change<'a> {
    #[serde(serialize_with = "as_text")]
    cursor: FeedCursor,
    op: &'static str,
    flow_id: FlowId,
    name: &'a str,
    revision: u64,
    at: DateTime<Utc>,
    author: &'a str,
}

fn as_text<S: serde::Serializer>(cursor: &FeedCursor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}
