//! Ephemeral flows while the storage is unreachable, and when it fails during a call.

use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use axum::http::HeaderMap;
use serde_json::json;
use strom_server::clock;
use strom_server::http::Access;
use strom_server::stack::Stack;
use strom_store::FlowRepository;
use strom_store::ephemeral::Ephemeral;
use strom_store::internals::samples::{canonical, change, flow, flow_with, id, stamp, stored, time};
use strom_store::last_known::{LastKnown, Settings};
use strom_store::repository::{Change, ListQuery, Outcome, RepositoryError};

use crate::http::client::Client;
use strom_test_support::Opened;
use strom_test_support::cable::Cable;
use strom_test_support::eventually::eventually;
use strom_test_support::json::{self, File};

fn scratch(number: u32, name: &str) -> strom_store::Flow {
    flow_with(number, name, r#""properties":{"ephemeral":true}"#)
}

/// Returns a repository with two ephemeral flows (1 and 2) and a stored one (3). The cable can disconnect the storage.
async fn with_cable() -> (Opened<File>, Arc<Cable>, Ephemeral) {
    let opened = json::open().await;
    let cable = Cable::to(Arc::clone(&opened));
    let repository = Ephemeral::over(Arc::<Cable>::clone(&cable), time(0));
    for flow in [scratch(1, "a"), scratch(2, "b"), flow(3, "c")] {
        change(&repository, Change::create(flow), stamp(0)).await;
    }
    (opened, cable, repository)
}

#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_flows_are_read_and_changed_while_the_storage_is_unreachable() {
    let (_opened, cable, repository) = with_cable().await;
    cable.cut();
    let before = stored(&repository, 1).await.version;
    let changed = change(&repository, Change::replace_at(scratch(1, "aa"), before.revision), stamp(1)).await;
    assert_eq!(changed.version.unwrap().revision, before.revision.next());
    assert_eq!(change(&repository, Change::delete(id(2)), stamp(1)).await.outcome, Outcome::Deleted);
    assert_eq!(repository.get(id(1)).await.unwrap().unwrap().item.head().name, "aa");
    assert_eq!(cable.refused(), 0, "no call reached the storage");
    for (what, error) in [
        ("a stored flow", repository.get(id(3)).await.err()),
        ("a list", repository.list(&ListQuery::default()).await.err()),
        ("a new flow", repository.apply_all(vec![Change::create(scratch(4, "d"))], stamp(1)).await.err()),
        ("a deleted ephemeral flow", repository.get(id(2)).await.err()),
    ] {
        assert!(
            matches!(error, Some(RepositoryError::Unavailable { outcome_unknown: false, .. })),
            "{what}: {error:?}"
        );
    }
}

/// Each of these calls changes memory and the storage.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_in_the_storage_does_not_change_memory() {
    let (opened, cable, repository) = with_cable().await;
    let before = [stored(&repository, 1).await, stored(&repository, 2).await];
    cable.cut();
    for changes in [
        vec![Change::replace(flow(1, "stored"))],
        vec![Change::delete(id(1)), Change::replace(flow(3, "cc"))],
        vec![Change::replace(scratch(2, "bb")), Change::create(flow(4, "d"))],
        vec![Change::replace(scratch(3, "ephemeral"))],
    ] {
        let answer = repository.apply_all(changes, stamp(1)).await;
        assert!(matches!(answer, Err(RepositoryError::Unavailable { .. })), "{answer:?}");
        for (number, before) in (1..).zip(&before) {
            let now = stored(&repository, number).await;
            assert_eq!((canonical(&now.item), now.version), (canonical(&before.item), before.version.clone()));
        }
    }
    cable.restore();
    assert_eq!(
        repository.list(&ListQuery::default()).await.unwrap().items.len(),
        3,
        "a list does not wait for a failed call"
    );
    assert_eq!(opened.list(&ListQuery::default()).await.unwrap().items.len(), 1);
    assert_eq!(change(&repository, Change::replace(flow(1, "stored")), stamp(2)).await.outcome, Outcome::Replaced);
    assert_eq!(stored(&**opened, 1).await.item.head().name, "stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_during_an_outage_contain_last_known_and_ephemeral_flows() {
    let opened = json::open().await;
    let cable = Cable::to(Arc::clone(&opened));
    change(&*cable, Change::create(flow(3, "c")), stamp(0)).await;
    let settings = Settings::default().with_look(Duration::from_millis(20));
    let last_known = LastKnown::follow(Arc::<Cable>::clone(&cable), settings).await;
    eventually("the copy exists", async || last_known.extent().is_some()).await;
    let client = Client::with(
        Stack::over(Arc::clone(last_known.followed())).last_known(last_known.clone()).ephemeral(clock::now()),
        Access::Anonymous,
    );
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
    assert_eq!((read.status, is_stale(&read.headers)), (200, false), "an ephemeral flow is always current");
    assert_eq!(client.send(&format!("PUT {path}"), &[], &document(1, "b")).await.status, 200);
    let state = client.send(&format!("PUT {path}/state"), &[], r#"{"state":"Playing"}"#).await;
    assert_eq!((state.status, &state.json()["flow"]["name"]), (200, &json!("b")));
    assert_eq!(client.send("POST /api/flows", &[], &document(2, "new")).await.status, 503);
    assert_eq!(client.send(&format!("GET /api/flows/{}", id(2)), &[], "").await.status, 503);
    assert_eq!(client.send(&format!("DELETE {path}"), &[], "").await.status, 204);
    let deleted = client.send(&format!("GET {path}"), &[], "").await;
    assert_eq!(deleted.status, 503, "a stored flow with this id may exist");
    assert_eq!(last_known.extent().unwrap().flows, 1, "the copy contains no ephemeral flow");
}
