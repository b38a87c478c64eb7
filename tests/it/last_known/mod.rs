//! The last-known copy. This file tests the copy in memory, `saved` tests its file.

mod postgres;
mod saved;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use futures::TryStreamExt;
use strom_store::internals::samples::{
    canonical, change, create_all, flow, flow_with, id, moment, numbers, stamp, time,
};
use strom_store::last_known::{Extent, LastKnown, Settings};
use strom_store::repository::{Change, Filter, ListQuery, RepositoryError, Since, Stored, Version};
use strom_store::{Flow, FlowRepository};
use tempfile::TempDir;

use strom_test_support::cable::Cable;
use strom_test_support::eventually::eventually;
use strom_test_support::json::{self, File};

/// A repository that can be made unavailable, and a directory for the copy.
struct Fixture {
    cable: Arc<Cable>,
    directory: TempDir,
    _file: File,
}

impl Fixture {
    async fn new() -> Self {
        let file = File::new();
        let cable = Cable::to(file.open_with(json::lazy()).await);
        Self { cable, directory: tempfile::tempdir().unwrap(), _file: file }
    }

    /// Returns settings that save immediately and check for changes often.
    fn settings(&self) -> Settings {
        let soon = Duration::from_millis(20);
        let directory = Some(self.directory.path().to_owned());
        Settings::default().with_directory(directory).with_look(soon).with_save(soon).with_save_age(soon)
    }

    async fn follow(&self) -> LastKnown {
        self.follow_with(self.settings()).await
    }

    async fn follow_with(&self, settings: Settings) -> LastKnown {
        LastKnown::follow(Arc::<Cable>::clone(&self.cable), settings).await
    }

    /// Returns the path of the saved copy.
    fn path(&self) -> PathBuf {
        let entries = self.directory.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut copies = entries.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        copies.next().expect("the copy was saved")
    }

    /// Simulates a new process while the storage is unreachable. It knows only the saved copy.
    async fn after_a_restart(&self) -> LastKnown {
        self.cable.cut();
        self.follow().await
    }

    /// Returns the stored flows, even if the repository is cut off.
    async fn stored(&self) -> Vec<(String, Version)> {
        moment(&**self.cable.repository()).await
    }
}

async fn until_same(last_known: &LastKnown, repository: &dyn FlowRepository) {
    let expected = moment(repository).await;
    eventually("the copy equals the stored flows", async || known(last_known).await == Some(expected.clone())).await;
}

/// Returns all flows of the copy like [`moment`], or `None` if there is no complete copy.
async fn known(last_known: &LastKnown) -> Option<Vec<(String, Version)>> {
    let stored: Vec<Stored<Flow>> = last_known.snapshot().try_collect().await.ok()?;
    Some(stored.into_iter().map(|stored| (canonical(&stored.item), stored.version)).collect())
}

async fn until_known(last_known: &LastKnown) -> Extent {
    eventually("the copy has content", async || last_known.extent().is_some()).await;
    last_known.extent().unwrap()
}

fn unavailable<T: std::fmt::Debug>(result: strom_store::repository::Result<T>) -> String {
    match result {
        Err(RepositoryError::Unavailable { reason, .. }) => reason,
        other => panic!("expected `Unavailable`, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_reaches_the_copy() {
    let fixture = Fixture::new().await;
    let stored = &*fixture.cable;
    create_all(stored, [flow(1, "a"), flow(2, "b"), flow(3, "c")]).await;
    let last_known = fixture.follow().await;
    until_same(&last_known, stored).await;
    change(stored, Change::replace(flow(1, "edited")), stamp(1)).await;
    change(stored, Change::replace(flow_with(1, "edited", r#""gst_state":"Playing""#)), stamp(2)).await;
    change(stored, Change::delete(id(2)), stamp(3)).await;
    change(stored, Change::create(flow(4, "new")), stamp(4)).await;
    create_all(stored, (100..300).map(|number| flow(number, "many"))).await;
    change(stored, Change::delete(id(4)), stamp(5)).await;
    change(stored, Change::create(flow(4, "recreated")), stamp(6)).await;
    until_same(&last_known, stored).await;
    assert_eq!(last_known.extent().unwrap().flows, 203);
    assert!(last_known.extent().unwrap().is_complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_ages_only_while_the_storage_is_unreachable() {
    let fixture = Fixture::new().await;
    create_all(&*fixture.cable, [flow(1, "a")]).await;
    let last_known = fixture.follow().await;
    let first = until_known(&last_known).await.as_of;
    eventually("the copy is checked again", async || last_known.extent().unwrap().as_of > first).await;
    fixture.cable.cut();
    eventually("the storage is read", async || fixture.cable.refused() >= 1).await;
    let cut = last_known.extent().unwrap();
    eventually("the storage is read again", async || fixture.cable.refused() >= 2).await;
    assert_eq!(last_known.extent().unwrap(), cut);
    let hour = Duration::from_secs(3_600);
    assert_eq!(last_known.age(cut.as_of + hour), Some(hour));
    fixture.cable.restore();
    change(&*fixture.cable, Change::replace(flow(1, "b")), stamp(1)).await;
    until_same(&last_known, &*fixture.cable).await;
    assert!(last_known.extent().unwrap().as_of > cut.as_of);
}

/// The follower waits for the time that the storage returns, and longer after each failure.
#[tokio::test]
async fn retries_slow_down_while_the_storage_is_unreachable() {
    let fixture = Fixture::new().await;
    let last_known = fixture.follow().await;
    until_known(&last_known).await;
    fixture.cable.cut();
    let failed = || fixture.cable.feed_reads().1;
    eventually("the storage is read", async || failed() > 0).await;
    // From here on, the follower waits only for timers.
    tokio::time::pause();
    let reads_in = async |seconds| {
        let before = failed();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        failed() - before
    };
    // The storage returns 2.1 s each time, and the longest pause is 8 s.
    let reads = reads_in(5).await;
    assert!((1..=3).contains(&reads), "{reads} reads in 5 s");
    let reads = reads_in(80).await;
    assert!((9..=12).contains(&reads), "{reads} reads in 80 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_beyond_the_memory_budget_are_unavailable() {
    let fixture = Fixture::new().await;
    let stored = &*fixture.cable;
    let filling = format!(r#""filling":"{}""#, "x".repeat(400));
    let restarting = format!(r#"{filling},"properties":{{"auto_restart":true}}"#);
    for number in 1..=6 {
        let members = if number % 2 == 0 { &restarting } else { &filling };
        change(stored, Change::create(flow_with(number, "a", members)), stamp(number.into())).await;
    }
    let last_known = fixture.follow_with(fixture.settings().with_bytes(2_100)).await;
    let extent = until_known(&last_known).await;
    assert_eq!((extent.flows, extent.is_complete), (4, false));
    let of = |auto_restart| Filter { auto_restart, ..Filter::default() };
    let query = |filter| ListQuery { filter, count: true, ..ListQuery::default() };
    assert_eq!(numbers(&last_known, &query(of(Some(true)))).await, [2, 4, 6]);
    assert_eq!(last_known.get(id(5)).await.unwrap().unwrap().version.updated_at, time(5));
    assert_eq!(
        unavailable(last_known.get(id(3)).await),
        "the last-known copy does not contain this flow, but the flow may exist"
    );
    for filter in [of(None), of(Some(false))] {
        let expected = "the last-known copy is incomplete; only lists with `auto_restart=true` are complete";
        assert_eq!(unavailable(last_known.list(&query(filter.clone())).await), expected);
        assert_eq!(unavailable(last_known.summaries(&query(filter)).await), expected);
    }
    assert_eq!(
        unavailable(last_known.snapshot().try_next().await),
        unavailable(last_known.list(&query(of(None))).await)
    );

    change(stored, Change::replace(flow_with(3, "now", &filling)), stamp(10)).await;
    eventually("the copy contains the last changed flow", async || last_known.get(id(3)).await.is_ok()).await;
    unavailable(last_known.get(id(5)).await);
    for number in [2, 4] {
        change(stored, Change::delete(id(number)), stamp(11)).await;
    }
    until_same(&last_known, stored).await;
    assert!(last_known.extent().unwrap().is_complete, "all flows fit into the memory budget");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_history_and_feed_are_unavailable() {
    let fixture = Fixture::new().await;
    create_all(&*fixture.cable, [flow(1, "a")]).await;
    let last_known = fixture.follow().await;
    until_known(&last_known).await;
    let expected = "the last-known copy is read-only and supports only simple reads";
    assert_eq!(unavailable(last_known.apply_all(vec![Change::delete(id(1))], stamp(1)).await), expected);
    assert_eq!(unavailable(last_known.history(id(1), None, 1).await), expected);
    assert_eq!(unavailable(last_known.changes(Since::Oldest, 1).await), expected);
}
