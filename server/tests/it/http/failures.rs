//! Responses while the storage fails. They reveal no internals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use strom_server::http::{Access, ApiKey};
use strom_store::repository::{
    Applied, ChangeList, Feed, FeedCursor, FlowRepository, Health, ListQuery, Page, Record, RepositoryError, Result,
    Revision, Since, Stamp, Status, Stored,
};
use strom_store::{Flow, FlowId, Head};

use super::client::{Client, ID, problem};
use strom_test_support::json::{File, file_of};

const SECRET: &str = "SELECT hunter2";

/// A repository whose calls fail once with the given error and then panic.
#[derive(Debug)]
pub(super) struct Failing(Mutex<Option<RepositoryError>>);

impl Failing {
    /// Sets the error of the next call. With `None`, the next call panics.
    pub(super) fn fail_with(&self, error: Option<RepositoryError>) {
        *self.0.lock().unwrap() = error;
    }

    fn fail<T>(&self) -> Result<T> {
        let error = self.0.lock().unwrap().take();
        Err(error.expect(SECRET))
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

    async fn apply(&self, _: Arc<dyn ChangeList>, _: Stamp) -> Result<Vec<Applied>> {
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
        Health::new("json", "/flows.json", Status::Unavailable("gone".into()), Duration::from_secs(60))
    }

    async fn close(&self) -> Result<()> {
        self.fail()
    }
}

pub(super) fn client(error: Option<RepositoryError>) -> Client {
    let (failing, client) = failing();
    failing.fail_with(error);
    client
}

/// Returns a client whose next error can be set. Tests with many failures share it, because creating the routes takes longer
/// than a request.
pub(super) fn failing() -> (Arc<Failing>, Client) {
    let failing = Arc::new(Failing(Mutex::new(None)));
    (Arc::clone(&failing), Client::new(failing))
}

#[tokio::test]
async fn each_storage_error_maps_to_a_response() {
    let secret = || SECRET.to_owned();
    let outcome_unknown_detail =
        "no response from the storage; the change may have been stored, so read the flow before you try again";
    let not_written = "the storage is not available; nothing was written; try again later";
    let log = "ask the operator: the server log contains the reason";
    let unwritten = format!("nothing was written; {log}");
    let elsewhere = "nothing was written; send changes to an instance that runs without --read-only";
    let retry_after = Duration::from_millis(2_100);
    for (error, expected, retry) in [
        (
            RepositoryError::Unavailable { reason: secret(), retry_after, outcome_unknown: true },
            problem(503, "unavailable", "the storage is not available", outcome_unknown_detail),
            "3",
        ),
        (
            RepositoryError::Unavailable { reason: secret(), retry_after: Duration::ZERO, outcome_unknown: false },
            problem(503, "unavailable", "the storage is not available", not_written),
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
            problem(403, "read-only-instance", "this instance is read-only", elsewhere),
            "",
        ),
        (
            RepositoryError::Corrupt(secret()),
            problem(
                500,
                "corrupt",
                "stored data cannot be read",
                "the data was not changed; ask the operator: the server log contains the location",
            ),
            "",
        ),
        (
            RepositoryError::Gone,
            problem(
                410,
                "gone",
                "the changes are no longer retained",
                "the feed no longer retains the changes after this cursor; request `/api/changes` without `since` \
                 for a new cursor, list all flows, then continue from that cursor",
            ),
            "",
        ),
        (RepositoryError::Rejected(SECRET.into()), problem(500, "internal", "internal error", &unwritten), ""),
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
async fn a_busy_read_does_not_speak_of_writes() {
    let busy = || Some(RepositoryError::Busy(SECRET.to_owned()));
    let expected = problem(503, "busy", "the storage is busy", "try again");
    for line in ["GET /api/flows", "GET /api/trash", "GET /api/changes?since=0"] {
        let answer = client(busy()).shown(line).await;
        assert_eq!(answer.replace("\nretry-after: 1", ""), expected, "{line}");
    }
}

#[tokio::test]
async fn a_panic_returns_500() {
    let expected = problem(500, "internal", "internal error", "ask the operator: the server log contains the reason");
    assert_eq!(client(None).shown("GET /api/flows").await, expected);
}

#[tokio::test]
async fn ready_returns_503_while_the_storage_is_unreachable() {
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
async fn ready_reports_faults_only_with_a_key() {
    let file = File::holding(&file_of(&["7"]));
    let client = Client::with(file.open().await, Access::Key(ApiKey::new("secret")));
    let faults = async |headers: &[(&str, &str)]| {
        let ready = client.send("GET /ready", headers, "").await;
        assert_eq!((ready.status, &ready.json()["degraded"]), (200, &true.into()));
        ready.json()["faults"].clone()
    };
    let expected = "`$.flows[0]`: expected an object, found a number; it remains in the file unchanged";
    assert_eq!(faults(&[("x-api-key", "secret")]).await, serde_json::json!([expected]));
    assert!(faults(&[]).await.is_null(), "`faults` requires a key");
}
