//! Reads that are answered from the last-known copy during an outage.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::{Value, json};
use strom_server::clock;
use strom_server::http::{Access, ApiKey};
use strom_store::internals::samples::{change, create_all, flow, flow_with, id, stamp};
use strom_store::last_known::{LastKnown, Settings};
use strom_store::repository::Change;

use super::client::{Client, flow as shown_flow, problem};
use strom_test_support::Opened;
use strom_test_support::cable::Cable;
use strom_test_support::eventually::eventually;
use strom_test_support::json::{self, File};

/// A client of a server whose storage can be made unreachable.
struct Served {
    cable: Arc<Cable>,
    last_known: LastKnown,
    client: Client,
    _opened: Opened<File>,
}

impl Served {
    /// Stores three flows, of which the second starts automatically. Limits the copy to this number of bytes.
    async fn new(bytes: u64, access: Access) -> Self {
        let opened = json::open().await;
        let cable = Cable::to(Arc::clone(&opened));
        let second = flow_with(2, "b", r#""properties":{"auto_restart":true}"#);
        create_all(&*cable, [flow(1, "a"), second, flow(3, "c")]).await;
        let settings = Settings::default().with_bytes(bytes).with_look(Duration::from_millis(20));
        let last_known = LastKnown::follow(Arc::<Cable>::clone(&cable), settings).await;
        eventually("the copy exists", async || last_known.extent().is_some()).await;
        let client = Client::with(last_known.clone(), access);
        Self { cable, last_known, client, _opened: opened }
    }

    async fn with_outage() -> Self {
        let served = Self::new(1 << 20, Access::Anonymous).await;
        served.cable.cut();
        served
    }

    async fn shown(&self, line: &str) -> String {
        self.client.shown(line).await
    }
}

/// Returns the age in seconds that the response reports.
fn reported_age(headers: &HeaderMap) -> Option<u64> {
    headers.get("strom-stale").map(|value| value.to_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_report_their_age_and_writes_fail_during_an_outage() {
    let served = Served::new(1 << 20, Access::Anonymous).await;
    let lists = ["GET /api/flows", "GET /api/flows?view=summary&sort=-name&limit=2&count=true"];
    let reads = [lists[0], lists[1], &format!("GET /api/flows/{}", id(1))];
    let mut fresh = Vec::new();
    for line in reads {
        let answer = served.client.send(line, &[], "").await;
        assert_eq!(reported_age(&answer.headers), None, "{line}");
        fresh.push(answer.shown());
    }
    served.cable.cut();
    eventually("the reported age reaches 2 s", async || {
        reported_age(&served.client.send(reads[2], &[], "").await.headers).is_some_and(|age| age >= 2)
    })
    .await;
    for (line, fresh) in reads.into_iter().zip(fresh) {
        let age = || served.last_known.age(clock::now()).unwrap().as_secs() + 1;
        let before = age();
        let answer = served.client.send(line, &[], "").await;
        let (reported, after) = (reported_age(&answer.headers).unwrap(), age());
        assert!(
            reported >= 2 && (before..=after).contains(&reported),
            "{reported} is not between {before} and {after}"
        );
        assert_eq!(answer.shown(), fresh, "apart from the age, the response is the same");
    }
    let known = served.client.send(reads[2], &[("if-none-match", "\"1\"")], "").await;
    assert_eq!((known.status, reported_age(&known.headers).is_some()), (304, true));

    let body = format!(r#"{{"id":"{}","name":"x"}}"#, id(1));
    let path = format!("/api/flows/{}", id(1));
    for (line, body) in [
        ("POST /api/flows".to_owned(), body.as_str()),
        (format!("PUT {path}"), &body),
        (format!("PATCH {path}/properties"), r#"{"properties":{}}"#),
        (format!("DELETE {path}"), ""),
        (format!("POST {path}/start"), ""),
    ] {
        let answer = served.client.send(&line, &[], body).await;
        assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"3".parse().unwrap()), "{line}");
        assert_eq!(reported_age(&answer.headers), None, "{line}");
    }

    served.cable.restore();
    change(&*served.cable, Change::replace(flow(1, "fresh")), stamp(1)).await;
    let answer = served.client.send(reads[2], &[], "").await;
    assert_eq!(reported_age(&answer.headers), None);
    assert_eq!(answer.shown(), shown_flow(200, 2, &format!(r#"{{"id":"{}","name":"fresh"}}"#, id(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_flow_returns_503_during_an_outage() {
    let served = Served::with_outage().await;
    let why = "the storage is unreachable, and the last-known copy does not contain this flow, but the flow may exist";
    let expected = problem(503, "unavailable", "the storage is not available", why);
    let line = format!("GET /api/flows/{}", id(9));
    assert_eq!(served.shown(&line).await.replace("\nretry-after: 3", ""), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_copy_lists_only_flows_that_start_automatically() {
    let served = Served::new(1, Access::Anonymous).await;
    served.cable.cut();
    let why = "the storage is unreachable, and the last-known copy is incomplete; only lists with \
               `auto_restart=true` are complete";
    let expected = problem(503, "unavailable", "the storage is not available", why);
    for line in ["GET /api/flows", "GET /api/flows?auto_restart=false", "GET /api/flows?name=b&view=summary"] {
        assert_eq!(served.shown(line).await.replace("\nretry-after: 3", ""), expected, "{line}");
    }
    let answer = served.client.send("GET /api/flows?auto_restart=true&name=b", &[], "").await;
    assert!(reported_age(&answer.headers).is_some());
    assert_eq!(answer.json()["flows"][0]["name"], "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_copy_returns_503() {
    let opened = json::open().await;
    let cable = Cable::to(Arc::clone(&opened));
    cable.cut();
    let last_known = LastKnown::follow(Arc::<Cable>::clone(&cable), Settings::default()).await;
    let client = Client::with(last_known, Access::Anonymous);
    let why = "the storage is not available; nothing was written; try again later";
    let expected = problem(503, "unavailable", "the storage is not available", why);
    assert_eq!(client.shown("GET /api/flows").await.replace("\nretry-after: 3", ""), expected);
    assert!(client.send("GET /ready", &[], "").await.json()["last_known"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_reports_the_copy() {
    let begin = clock::now();
    let served = Served::new(1 << 20, Access::Key(ApiKey::new("secret"))).await;
    let ready = async |headers: &[(&str, &str)]| {
        let answer = served.client.send("GET /ready", headers, "").await;
        let mut known = answer.json()["last_known"].clone();
        let as_of = known.as_object_mut().unwrap().remove("as_of").unwrap();
        (answer.status, known, as_of)
    };
    let (status, known, as_of) = ready(&[("x-api-key", "secret")]).await;
    assert_eq!((status, known), (200, json!({ "flows": 3, "complete": true, "served": false })));
    let as_of: chrono::DateTime<chrono::Utc> = as_of.as_str().unwrap().parse().unwrap();
    assert!(begin <= as_of && as_of <= clock::now(), "{as_of} is not between {begin} and now");
    served.cable.cut();
    let (status, known, _) = ready(&[]).await;
    assert_eq!((status, known), (503, json!({ "complete": true, "served": true })), "`flows` requires a key");
    assert!(served.client.send("GET /ready", &[], "").await.json()["reason"] == Value::Null);
}
