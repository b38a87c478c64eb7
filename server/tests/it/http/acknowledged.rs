//! The last-known copy contains every change that the server has acknowledged, although the feed has not delivered it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strom_server::clock;
use strom_server::http::Access;
use strom_server::stack::Stack;
use strom_store::FlowRepository;
use strom_store::internals::samples::{change, create_all, flow, flow_with, id, moment, stamp};
use strom_store::last_known::{LastKnown, Settings};
use strom_store::repository::{Change, RepositoryError};
use tempfile::TempDir;

use super::client::{Answer, Client};
use strom_test_support::Opened;
use strom_test_support::cable::Cable;
use strom_test_support::eventually::eventually;
use strom_test_support::json::{self as json_store, File};

/// A server with a copy, whose storage can be cut and whose feed can be held.
struct Served {
    cable: Arc<Cable>,
    last_known: LastKnown,
    client: Client,
    directory: TempDir,
    _opened: Opened<File>,
}

impl Served {
    /// Stores the flows 1 to 5, and holds the feed when the copy contains them.
    async fn with_held_feed(settings: Settings) -> Self {
        let opened = json_store::open().await;
        let cable = Cable::to(Arc::clone(&opened));
        create_all(&*cable, (1..=5).map(|number| flow(number, "stored"))).await;
        let directory = tempfile::tempdir().unwrap();
        let settings = settings.with_directory(Some(directory.path().to_owned()));
        let last_known = LastKnown::follow(Arc::<Cable>::clone(&cable), settings).await;
        eventually("the copy exists", async || last_known.extent().is_some()).await;
        let (reads, _) = cable.feed_reads();
        eventually("the copy follows the feed", async || cable.feed_reads().0 > reads).await;
        cable.hold_feed();
        let stack = Stack::over(Arc::<Cable>::clone(&cable)).last_known(last_known.clone()).ephemeral(clock::now());
        let client = Client::with(stack, Access::Anonymous);
        Self { cable, last_known, client, directory, _opened: opened }
    }

    async fn new() -> Self {
        Self::with_held_feed(Settings::default().with_look(Duration::from_millis(20))).await
    }

    async fn send(&self, line: &str, body: &str) -> Answer {
        let answer = self.client.send(line, &[], body).await;
        assert!((200..300).contains(&answer.status), "{line}: {answer:?}");
        answer
    }

    /// Changes flows in every way.
    async fn change_everything(&self) {
        let path = |number: u32| format!("/api/flows/{}", id(number));
        self.send("POST /api/flows", flow(6, "created").document().get()).await;
        self.send(&format!("PUT {}", path(1)), flow(1, "replaced").document().get()).await;
        self.send(&format!("PUT {}", path(1)), flow(1, "replaced again").document().get()).await;
        self.send(&format!("PATCH {}/properties", path(2)), r#"{"properties":{"description":"patched"}}"#).await;
        self.send(&format!("PUT {}/state", path(2)), r#"{"state":"Ready"}"#).await;
        self.send(&format!("PUT {}/state", path(2)), r#"{"state":"Playing"}"#).await;
        self.send(&format!("DELETE {}", path(3)), "").await;
        self.send(&format!("DELETE {}", path(4)), "").await;
        self.send("POST /api/flows", flow(4, "created again").document().get()).await;
        self.send(&format!("POST {}/restore", path(1)), r#"{"revision":2}"#).await;
        let imported = json!([{ "id": id(5), "name": "imported" }, { "id": id(7), "name": "imported" }]);
        self.send("POST /api/flows/import?on_conflict=replace", &imported.to_string()).await;
    }

    /// Returns every flow with its `ETag`, and the list.
    async fn seen(&self) -> (Vec<(u16, Option<String>, Value)>, Value) {
        let mut flows = Vec::new();
        for number in [1, 2, 4, 5, 6, 7] {
            let answer = self.client.send(&format!("GET /api/flows/{}", id(number)), &[], "").await;
            let etag = answer.headers.get("etag").map(|tag| tag.to_str().unwrap().to_owned());
            flows.push((answer.status, etag, answer.json()));
        }
        (flows, self.client.send("GET /api/flows", &[], "").await.json())
    }

    /// Waits until the copy has followed the feed and equals the stored flows.
    async fn until_same(&self) {
        let stored = moment(&**self.cable.repository()).await;
        eventually("the copy equals the stored flows", async || {
            self.last_known.list(&Default::default()).await.is_ok() && moment(&self.last_known).await == stored
        })
        .await;
    }
}

/// Returns whether the file of the copy contains this text.
fn is_saved(directory: &Path, text: &str) -> bool {
    let paths = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files = paths.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    files.any(|path| fs::read_to_string(path).is_ok_and(|content| content.contains(text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_are_read_during_an_outage_that_begins_immediately() {
    let served = Served::new().await;
    served.change_everything().await;
    let fresh = served.seen().await;
    served.cable.cut();
    assert_eq!(served.seen().await, fresh);
    let deleted = served.client.send(&format!("GET /api/flows/{}", id(3)), &[], "").await;
    assert_ne!(deleted.status, 200, "a deleted flow is not in the copy");
    let known = served.client.send(&format!("GET /api/flows/{}", id(6)), &[], "").await;
    assert!(known.headers.contains_key("strom-stale"), "{known:?}");
    served.cable.restore();
    served.cable.release_feed();
    served.until_same().await;
}

/// While the feed delivers records that are older than the acknowledged changes, no flow goes back.
#[tokio::test(flavor = "multi_thread")]
async fn older_records_of_the_feed_do_not_undo_acknowledged_changes() {
    let served = Served::new().await;
    served.change_everything().await;
    let expected = moment(&**served.cable.repository()).await;
    assert_eq!(moment(&served.last_known).await, expected);
    let (reads, _) = served.cable.feed_reads();
    served.cable.release_feed();
    while served.cable.feed_reads().0 < reads + 3 {
        assert_eq!(moment(&served.last_known).await, expected);
        tokio::task::yield_now().await;
    }
    // Changes of other writers follow.
    change(&*served.cable, Change::replace(flow(1, "by another writer")), stamp(1)).await;
    change(&*served.cable, Change::replace(flow_with(2, "x", r#""gst_state":"Paused""#)), stamp(2)).await;
    change(&*served.cable, Change::delete(id(6)), stamp(3)).await;
    served.until_same().await;
}

/// Changes of other writers that the feed has delivered are newer than a change that is acknowledged late.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_unknown_outcome_is_not_in_the_copy_until_the_feed_delivers_it() {
    let served = Served::new().await;
    served.cable.lose_answers();
    let line = format!("PUT /api/flows/{}", id(1));
    let answer = served.client.send(&line, &[], flow(1, "unknown").document().get()).await;
    assert_eq!(answer.status, 503);
    let known = served.last_known.get(id(1)).await.unwrap().unwrap();
    assert_eq!((known.version.revision.number(), known.item.head().name.as_str()), (1, "stored"));
    served.cable.restore();
    served.cable.release_feed();
    eventually("the feed delivers the change", async || {
        served.last_known.get(id(1)).await.unwrap().unwrap().item.head().name == "unknown"
    })
    .await;
    served.send(&line, flow(1, "acknowledged").document().get()).await;
    served.until_same().await;
}

/// The outage begins immediately after the change, and the follower of the feed never answers again.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_are_saved_although_the_feed_is_unavailable() {
    // The default intervals.
    let served = Served::with_held_feed(Settings::default()).await;
    served.change_everything().await;
    let expected = moment(&**served.cable.repository()).await;
    served.cable.cut();
    eventually("the last change is saved", async || is_saved(served.directory.path(), &id(7).to_string())).await;
    // As after a crash: the next process reads a copy of the file.
    let directory = tempfile::tempdir().unwrap();
    for entry in served.directory.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    let settings = Settings::default().with_directory(Some(directory.path().to_owned()));
    let restarted = LastKnown::follow(Arc::<Cable>::clone(&served.cable), settings).await;
    assert_eq!(moment(&restarted).await, expected);
    let error = restarted.get(id(3)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { .. }), "{error}");
}

/// The copy stays within its limit while the feed delivers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_respect_the_limit_of_the_copy() {
    let settings = Settings::default().with_look(Duration::from_millis(20)).with_bytes(2_000);
    let served = Served::with_held_feed(settings).await;
    let filling = "x".repeat(300);
    for number in 10..30 {
        let members = format!(r#""filling":"{filling}""#);
        served.send("POST /api/flows", flow_with(number, "a", &members).document().get()).await;
    }
    let restarting = r#""properties":{"auto_restart":true}"#;
    served.send("POST /api/flows", flow_with(30, "b", restarting).document().get()).await;
    served.cable.cut();
    let extent = served.last_known.extent().unwrap();
    assert!(extent.flows < 10 && !extent.is_complete, "{extent:?}");
    let status = async |line: &str| served.client.send(line, &[], "").await.status;
    assert_eq!(status(&format!("GET /api/flows/{}", id(29))).await, 200);
    assert_eq!(status(&format!("GET /api/flows/{}", id(10))).await, 503);
    assert_eq!(status("GET /api/flows").await, 503);
    let answer = served.client.send("GET /api/flows?auto_restart=true", &[], "").await;
    assert_eq!(answer.json()["flows"][0]["id"], id(30).to_string());
}
