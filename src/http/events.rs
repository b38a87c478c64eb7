//! Changes as they come: server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A stream asks the feed when something has changed, sends what there is, and reads no further before that is taken: a
//! slow reader costs one page of memory. While the storage is away a stream stays open and goes on where it was.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, StreamExt};
use tokio::time::sleep;

use super::App;
use super::answer::NO_STORE;
use super::changes::{Change, Page, Request, page};
use super::flows::Answer;
use crate::repository::{FlowRepository, RepositoryError, Since};

/// How often something is sent, so that nobody in between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a client that was cut off should come again, and how soon a storage that is away is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// Changes of one page: with documents of any size, few.
const PAGE: u32 = 20;

/// A stream of the changes from here on.
pub(super) async fn stream(app: App, request: Request) -> Answer {
    let request = Request { limit: PAGE, ..request };
    // A place that is none, or a storage that is away, is told while there can be an answer that tells it.
    let first = page(&*app.source.repository, request).await?;
    let pages = stream::unfold(Some((app, request, Some(first))), async |place| {
        let (app, mut request, first) = place?;
        let page = match first {
            Some(first) => Some(first),
            None => following(&*app.source.repository, request).await,
        };
        let Some(page) = page else {
            let gone = Event::default().event("gone").data("read the flows, and begin again");
            return Some((stream::iter(vec![gone]), None));
        };
        request.since = Since::After(page.next);
        Some((stream::iter(events(page)), Some((app, request, None))))
    });
    let retry = stream::iter([Event::default().retry(RETRY)]);
    let events = retry.chain(pages.flatten()).map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    // For proxies that would rather collect the answer first.
    Ok(([NO_STORE], [("x-accel-buffering", "no")], Sse::new(events).keep_alive(keep_alive)).into_response())
}

/// The next page that has changes; `None` when it is no longer kept.
pub(super) async fn following(repository: &dyn FlowRepository, mut request: Request) -> Option<Page> {
    loop {
        if let Since::After(cursor) = request.since {
            repository.changed(cursor).await;
        }
        match page(repository, request).await {
            Ok(page) if page.changes.is_empty() => request.since = Since::After(page.next),
            Ok(page) => return Some(page),
            Err(RepositoryError::Gone) => return None,
            Err(error) => {
                tracing::debug!(%error, "a stream of changes waits for the storage");
                sleep(RETRY).await;
            }
        }
    }
}

fn events(page: Page) -> Vec<Event> {
    let event = |change: Change| {
        let data = serde_json::to_string(&change).expect("strings, numbers and JSON become JSON");
        Event::default().id(change.cursor).event(change.op).data(data)
    };
    page.changes.into_iter().map(event).collect()
}
