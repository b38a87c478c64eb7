//! A storage that fails: what clients are told, and what they are not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use strom::http::{Access, ApiKey};
use strom::repository::{
    Applied, Change, Feed, FeedCursor, FlowRepository, Health, ListQuery, Page, Record, RepositoryError, Result,
    Revision, Since, Stamp, Status, Stored,
};
use strom::{Flow, FlowId, Head};

use super::client::{Client, ID, problem};
use crate::support::json::{File, file_of};

const SECRET: &str = "SELECT hunter2";

/// Fails once with what it holds, then panics.
#[derive(Debug)]
struct Failing(Mutex<Option<RepositoryError>>);

impl Failing {
    fn fail<T>(&self) -> Result<T> {
        Err(self.0.lock().unwrap().take().expect(SECRET))
    }
}

#[async_trait]
impl FlowRepository for Failing {
    async fn get(&self, _: FlowId) -> Result<Option<Stored<Flow>>> {
        self.fail()
    }

    fn get_each(&self, _: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        stream::iter([self.fail()]).boxed()
    }

    async fn list(&self, _: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.fail()
    }

    async fn summaries(&self, _: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.fail()
    }

    async fn apply(&self, _: Vec<Change>, _: Stamp) -> Result<Vec<Applied>> {
        self.fail()
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        stream::empty().boxed()
    }

    async fn history(&self, _: FlowId, _: Option<Revision>, _: u32) -> Result<Vec<Record<Head>>> {
        self.fail()
    }

    async fn revision(&self, _: FlowId, _: Revision) -> Result<Option<Record<Flow>>> {
        self.fail()
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        stream::empty().boxed()
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.fail()
    }

    async fn changes(&self, _: Since, _: u32) -> Result<Feed<Flow>> {
        self.fail()
    }

    async fn change_summaries(&self, _: Since, _: u32) -> Result<Feed<Head>> {
        self.fail()
    }

    async fn changed(&self, _: FeedCursor) {}

    async fn health(&self) -> Health {
        Health {
            kind: "json",
            location: "/flows.json".into(),
            status: Status::Unavailable("gone".into()),
            for_the_last: Duration::from_secs(60),
            read_only: false,
            faults: Vec::new(),
        }
    }

    async fn close(&self) {}
}

pub(super) fn client(error: Option<RepositoryError>) -> Client {
    Client::new(Arc::new(Failing(Mutex::new(error))))
}

#[tokio::test]
async fn each_error_has_its_answer() {
    let secret = || SECRET.to_owned();
    let open = "it does not answer just now; whether a write has happened is open, so read again";
    let unasked = "it does not answer just now; nothing was written";
    let log = "the operator finds the reason in the log";
    let unwritten = format!("nothing was written; {log}");
    let elsewhere = "nothing was written; send changes to an instance of Strom that runs without --read-only";
    let retry_after = Duration::from_millis(2_100);
    for (error, expected, retry) in [
        (
            RepositoryError::Unavailable { reason: secret(), retry_after, is_open: true },
            problem(503, "unavailable", "the storage is not available", open),
            "3",
        ),
        (
            RepositoryError::Unavailable { reason: secret(), retry_after: Duration::ZERO, is_open: false },
            problem(503, "unavailable", "the storage is not available", unasked),
            "1",
        ),
        (
            RepositoryError::Busy(secret()),
            problem(503, "busy", "the storage is busy", "nothing was written; try again"),
            "1",
        ),
        (RepositoryError::ReadOnly(secret()), problem(503, "read-only", "the storage is read-only", &unwritten), ""),
        (
            RepositoryError::ReadOnlyInstance,
            problem(403, "read-only-instance", "this instance only reads", elsewhere),
            "",
        ),
        (
            RepositoryError::Corrupt(secret()),
            problem(
                500,
                "corrupt",
                "stored data cannot be read",
                "it was left as it is; the operator finds the place in the log",
            ),
            "",
        ),
        (
            RepositoryError::Gone,
            problem(
                410,
                "gone",
                "the changes are no longer kept",
                "the feed does not go back to this place; ask without `since` for a new place, list the flows, then go on \
                 from that place",
            ),
            "",
        ),
        (RepositoryError::Failed(SECRET.into()), problem(500, "internal", "internal error", log), ""),
        (RepositoryError::Conflict(Vec::new()), problem(500, "internal", "internal error", log), ""),
    ] {
        let line = format!("PUT /api/flows/{ID}");
        let answer = client(Some(error)).send(&line, &[], &format!(r#"{{"id":"{ID}","name":"a"}}"#)).await;
        assert_eq!(answer.headers.get("retry-after").map_or("", |value| value.to_str().unwrap()), retry);
        assert_eq!(answer.shown().replace(&format!("\nretry-after: {retry}"), ""), expected);
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_too() {
    let expected = problem(500, "internal", "internal error", "the operator finds the reason in the log");
    assert_eq!(client(None).shown("GET /api/flows").await, expected);
}

#[tokio::test]
async fn a_server_without_its_storage_is_alive_and_not_ready() {
    let client = client(None);
    assert_eq!(client.send("GET /health", &[], "").await.status, 200);
    let ready = client.send("GET /ready", &[], "").await;
    let since = ready.json()["since"].clone();
    let expected = serde_json::json!({
        "storage": "json", "location": "/flows.json", "reachable": false, "migrated": null, "since": since,
        "read_only": false, "degraded": true, "reason": "gone",
    });
    assert_eq!((ready.status, ready.json()), (503, expected));
}

#[tokio::test]
async fn a_storage_with_faults_is_ready_and_says_so_to_those_who_hold_the_key() {
    let file = File::holding(&file_of(&["7"]));
    let client = Client::with(file.open().await, Access::Key(ApiKey::new("secret")));
    let faults = async |headers: &[(&str, &str)]| {
        let ready = client.send("GET /ready", headers, "").await;
        assert_eq!((ready.status, &ready.json()["degraded"]), (200, &true.into()));
        ready.json()["faults"].clone()
    };
    let expected = "`$.flows[0]`: expected an object, found a number; it stays in the file as it is";
    assert_eq!(faults(&[("x-api-key", "secret")]).await, serde_json::json!([expected]));
    assert!(faults(&[]).await.is_null(), "not for strangers");
}
