//! What is read while the storage is away, and what is not.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::{Value, json};
use strom::clock;
use strom::http::{Access, ApiKey};
use strom::last_known::{LastKnown, Settings};
use strom::repository::Change;
use strom::testkit::samples::{change, create_all, flow, flow_with, id, stamp};

use super::client::{Client, flow as shown_flow, problem};
use crate::support::Opened;
use crate::support::cable::Cable;
use crate::support::json::{self, File, until};

struct Served {
    cable: Arc<Cable>,
    last_known: LastKnown,
    client: Client,
    _opened: Opened<File>,
}

impl Served {
    /// With three flows, of which so many bytes are kept; the second starts by itself.
    async fn new(bytes: u64, access: Access) -> Self {
        let opened = json::open().await;
        let cable = Cable::to(Arc::clone(&opened));
        let second = flow_with(2, "b", r#""properties":{"auto_restart":true}"#);
        create_all(&*cable, [flow(1, "a"), second, flow(3, "c")]).await;
        let settings = Settings { bytes, look: Duration::from_millis(20), ..Settings::default() };
        let last_known = LastKnown::follow(Arc::<Cable>::clone(&cable), settings).await;
        until("something is known", async || last_known.extent().is_some()).await;
        let client = Client::with(last_known.clone(), access);
        Self { cable, last_known, client, _opened: opened }
    }

    async fn cut() -> Self {
        let served = Self::new(1 << 20, Access::Anonymous).await;
        served.cable.cut();
        served
    }

    async fn shown(&self, line: &str) -> String {
        self.client.shown(line).await
    }
}

fn stale(headers: &HeaderMap) -> Option<u64> {
    headers.get("strom-stale").map(|value| value.to_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_tell_how_old_they_are_and_all_else_is_refused() {
    let served = Served::new(1 << 20, Access::Anonymous).await;
    let lists = ["GET /api/flows", "GET /api/flows?view=summary&sort=-name&limit=2&count=true"];
    let reads = [lists[0], lists[1], &format!("GET /api/flows/{}", id(1))];
    let mut fresh = Vec::new();
    for line in reads {
        let answer = served.client.send(line, &[], "").await;
        assert_eq!(stale(&answer.headers), None, "{line}");
        fresh.push(answer.shown());
    }
    served.cable.cut();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for (line, fresh) in reads.into_iter().zip(fresh) {
        let answer = served.client.send(line, &[], "").await;
        let age = served.last_known.age(clock::now()).unwrap().as_secs() + 1;
        let told = stale(&answer.headers).unwrap();
        assert!(told >= 2 && (told == age || told + 1 == age), "{told} of {age}");
        assert_eq!(answer.shown(), fresh, "else it is the same answer");
    }
    let known = served.client.send(reads[2], &[("if-none-match", "\"1\"")], "").await;
    assert_eq!((known.status, stale(&known.headers).is_some()), (304, true));

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
        assert_eq!(stale(&answer.headers), None, "{line}");
    }

    served.cable.restore();
    change(&*served.cable, Change::replace(flow(1, "fresh")), stamp(1)).await;
    let answer = served.client.send(reads[2], &[], "").await;
    assert_eq!(stale(&answer.headers), None);
    assert_eq!(answer.shown(), shown_flow(200, 2, &format!(r#"{{"id":"{}","name":"fresh"}}"#, id(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_is_not_known_may_exist() {
    let served = Served::cut().await;
    let why = "the storage does not answer just now, and this flow is not among the last known ones; it may exist";
    let expected = problem(503, "unavailable", "the storage is not available", why);
    let line = format!("GET /api/flows/{}", id(9));
    assert_eq!(served.shown(&line).await.replace("\nretry-after: 3", ""), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_all_flows_lists_those_that_start_by_themselves() {
    let served = Served::new(1, Access::Anonymous).await;
    served.cable.cut();
    let why = "the storage does not answer just now, and the last known flows are not all flows, only lists with \
        `auto_restart=true` are";
    let expected = problem(503, "unavailable", "the storage is not available", why);
    for line in ["GET /api/flows", "GET /api/flows?auto_restart=false", "GET /api/flows?name=b&view=summary"] {
        assert_eq!(served.shown(line).await.replace("\nretry-after: 3", ""), expected, "{line}");
    }
    let answer = served.client.send("GET /api/flows?auto_restart=true&name=b", &[], "").await;
    assert!(stale(&answer.headers).is_some());
    assert_eq!(answer.json()["flows"][0]["name"], "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_known_it_is_as_without_a_copy() {
    let opened = json::open().await;
    let cable = Cable::to(Arc::clone(&opened));
    cable.cut();
    let last_known = LastKnown::follow(Arc::<Cable>::clone(&cable), Settings::default()).await;
    let client = Client::with(last_known, Access::Anonymous);
    let why = "it does not answer just now; nothing was written";
    let expected = problem(503, "unavailable", "the storage is not available", why);
    assert_eq!(client.shown("GET /api/flows").await.replace("\nretry-after: 3", ""), expected);
    assert!(client.send("GET /ready", &[], "").await.json()["last_known"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_tells_what_is_known() {
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
    assert!((clock::now() - as_of).num_seconds() < 10);
    served.cable.cut();
    let (status, known, _) = ready(&[]).await;
    assert_eq!((status, known), (503, json!({ "complete": true, "served": true })), "to strangers");
    assert!(served.client.send("GET /ready", &[], "").await.json()["reason"] == Value::Null);
}
