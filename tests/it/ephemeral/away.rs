//! While the storage is away, and when it fails in the middle.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::json;
use strom::FlowRepository;
use strom::clock;
use strom::ephemeral::Ephemeral;
use strom::http::{Access, Source};
use strom::last_known::{LastKnown, Settings};
use strom::repository::{Change, ListQuery, Outcome, RepositoryError};
use strom::testkit::samples::{canonical, change, flow, flow_with, id, stamp, stored, time};

use crate::http::client::Client;
use crate::support::Opened;
use crate::support::cable::Cable;
use crate::support::json::{self, File, until};

fn scratch(number: u32, name: &str) -> strom::Flow {
    flow_with(number, name, r#""properties":{"ephemeral":true}"#)
}

/// Two ephemeral flows, 1 and 2, beside a stored one, 3, behind a cable.
async fn behind_a_cable() -> (Opened<File>, Arc<Cable>, Ephemeral) {
    let opened = json::open().await;
    let cable = Cable::to(Arc::clone(&opened));
    let both = Ephemeral::over(Arc::<Cable>::clone(&cable), time(0));
    for flow in [scratch(1, "a"), scratch(2, "b"), flow(3, "c")] {
        change(&both, Change::create(flow), stamp(0)).await;
    }
    (opened, cable, both)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_is_served_and_changed_without_the_storage() {
    let (_opened, cable, both) = behind_a_cable().await;
    cable.cut();
    let before = stored(&both, 1).await.version;
    let changed = change(&both, Change::replace_at(scratch(1, "aa"), before.revision), stamp(1)).await;
    assert_eq!(changed.version.unwrap().revision, before.revision.next());
    assert_eq!(change(&both, Change::delete(id(2)), stamp(1)).await.outcome, Outcome::Deleted);
    assert_eq!(both.get(id(1)).await.unwrap().unwrap().item.head().name, "aa");
    assert_eq!(cable.refused(), 0, "nobody has asked it");
    for (what, error) in [
        ("a stored flow", both.get(id(3)).await.err()),
        ("a list", both.list(&ListQuery::default()).await.err()),
        ("a new flow", both.apply(vec![Change::create(scratch(4, "d"))], stamp(1)).await.err()),
        ("one that is not there any more", both.get(id(2)).await.err()),
    ] {
        assert!(matches!(error, Some(RepositoryError::Unavailable { is_open: false, .. })), "{what}: {error:?}");
    }
}

/// What needs both happens to neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_storage_refuses_leaves_memory_as_it_is() {
    let (opened, cable, both) = behind_a_cable().await;
    let before = [stored(&both, 1).await, stored(&both, 2).await];
    cable.cut();
    for changes in [
        vec![Change::replace(flow(1, "left"))],
        vec![Change::delete(id(1)), Change::replace(flow(3, "cc"))],
        vec![Change::replace(scratch(2, "bb")), Change::create(flow(4, "d"))],
        vec![Change::replace(scratch(3, "come"))],
    ] {
        let answer = both.apply(changes, stamp(1)).await;
        assert!(matches!(answer, Err(RepositoryError::Unavailable { .. })), "{answer:?}");
        for (number, before) in (1..).zip(&before) {
            let now = stored(&both, number).await;
            assert_eq!((canonical(&now.item), now.version), (canonical(&before.item), before.version.clone()));
        }
    }
    cable.restore();
    assert_eq!(both.list(&ListQuery::default()).await.unwrap().items.len(), 3, "lists do not wait for ever");
    assert_eq!(opened.list(&ListQuery::default()).await.unwrap().items.len(), 1);
    assert_eq!(change(&both, Change::replace(flow(1, "left")), stamp(2)).await.outcome, Outcome::Replaced);
    assert_eq!(stored(&**opened, 1).await.item.head().name, "left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_known_flows_are_listed_with_the_ephemeral_ones() {
    let opened = json::open().await;
    let cable = Cable::to(Arc::clone(&opened));
    change(&*cable, Change::create(flow(3, "c")), stamp(0)).await;
    let settings = Settings { look: Duration::from_millis(20), ..Settings::default() };
    let last_known = LastKnown::follow(Arc::<Cable>::clone(&cable), settings).await;
    until("something is known", async || last_known.extent().is_some()).await;
    let client = Client::with(Source::from(last_known.clone()).with_ephemeral(clock::now()), Access::Anonymous);
    let document = |number, name| scratch(number, name).document().get().to_owned();
    assert_eq!(client.send("POST /api/flows", &[], &document(1, "a")).await.status, 201);
    cable.cut();

    let is_stale = |headers: &HeaderMap| headers.contains_key("strom-stale");
    let list = client.send("GET /api/flows?view=summary&count=true", &[], "").await;
    let names: Vec<_> = list.json()["flows"].as_array().unwrap().iter().map(|flow| flow["name"].clone()).collect();
    assert_eq!((list.status, is_stale(&list.headers), names), (200, true, vec![json!("a"), json!("c")]));
    assert_eq!(list.json()["total"], 2);
    let path = format!("/api/flows/{}", id(1));
    let read = client.send(&format!("GET {path}"), &[], "").await;
    assert_eq!((read.status, is_stale(&read.headers)), (200, false), "nothing newer is known anywhere");
    assert_eq!(client.send(&format!("PUT {path}"), &[], &document(1, "b")).await.status, 200);
    let state = client.send(&format!("PUT {path}/state"), &[], r#"{"state":"Playing"}"#).await;
    assert_eq!((state.status, &state.json()["flow"]["name"]), (200, &json!("b")));
    assert_eq!(client.send("POST /api/flows", &[], &document(2, "new")).await.status, 503);
    assert_eq!(client.send(&format!("GET /api/flows/{}", id(2)), &[], "").await.status, 503);
    assert_eq!(client.send(&format!("DELETE {path}"), &[], "").await.status, 204);
    let gone = client.send(&format!("GET {path}"), &[], "").await;
    assert_eq!(gone.status, 503, "somebody else may have stored it");
    assert_eq!(last_known.extent().unwrap().flows, 1, "the copy has never heard of it");
}
