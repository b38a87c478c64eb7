//! The last known flows: followed and bounded here, saved and read again in `saved`, served by the real program in
//! `program_postgres`.

mod postgres;
mod program_postgres;
mod saved;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use strom::last_known::{Extent, LastKnown, Settings};
use strom::repository::{Change, Filter, ListQuery, RepositoryError, Since, Stored, Version};
use strom::testkit::samples::{canonical, change, create_all, flow, flow_with, id, moment, numbers, stamp, time};
use strom::{Flow, FlowRepository, clock};
use tempfile::TempDir;

use crate::support::cable::Cable;
use crate::support::json::{self, File, until};

/// A repository that can be cut off, and a directory for the copy.
struct Place {
    cable: Arc<Cable>,
    directory: TempDir,
    _file: File,
}

impl Place {
    async fn new() -> Self {
        let file = File::new();
        let cable = Cable::to(file.open_with(json::lazy()).await);
        Self { cable, directory: tempfile::tempdir().unwrap(), _file: file }
    }

    /// Saves at once and looks often.
    fn settings(&self) -> Settings {
        let soon = Duration::from_millis(20);
        let directory = Some(self.directory.path().to_owned());
        Settings { directory, look: soon, save: soon, save_age: soon, ..Settings::default() }
    }

    async fn follow(&self) -> LastKnown {
        self.follow_with(self.settings()).await
    }

    async fn follow_with(&self, settings: Settings) -> LastKnown {
        LastKnown::follow(Arc::<Cable>::clone(&self.cable), settings).await
    }

    /// The file of the copy.
    fn path(&self) -> PathBuf {
        let entries = self.directory.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut copies = entries.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        copies.next().expect("the copy was saved")
    }

    /// Another process, while the storage is away: it knows what the file says.
    async fn after_a_restart(&self) -> LastKnown {
        self.cable.cut();
        self.follow().await
    }

    /// What is stored, whether it is cut off or not.
    async fn stored(&self) -> Vec<(String, Version)> {
        moment(&**self.cable.repository()).await
    }
}

async fn until_same(last_known: &LastKnown, repository: &dyn FlowRepository) {
    let expected = moment(repository).await;
    until("the copy is what is stored", async || known(last_known).await == Some(expected.clone())).await;
}

/// As [`moment`], as soon as there is one.
async fn known(last_known: &LastKnown) -> Option<Vec<(String, Version)>> {
    let stored: Vec<Stored<Flow>> = last_known.snapshot().try_collect().await.ok()?;
    Some(stored.into_iter().map(|stored| (canonical(&stored.item), stored.version)).collect())
}

async fn until_known(last_known: &LastKnown) -> Extent {
    until("something is known", async || last_known.extent().is_some()).await;
    last_known.extent().unwrap()
}

fn unavailable<T: std::fmt::Debug>(result: strom::repository::Result<T>) -> String {
    match result {
        Err(RepositoryError::Unavailable { reason, .. }) => reason,
        other => panic!("expected it to be unavailable, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_reaches_the_copy() {
    let place = Place::new().await;
    let stored = &*place.cable;
    create_all(stored, [flow(1, "a"), flow(2, "b"), flow(3, "c")]).await;
    let last_known = place.follow().await;
    until_same(&last_known, stored).await;
    change(stored, Change::replace(flow(1, "edited")), stamp(1)).await;
    change(stored, Change::replace(flow_with(1, "edited", r#""gst_state":"Playing""#)), stamp(2)).await;
    change(stored, Change::delete(id(2)), stamp(3)).await;
    change(stored, Change::create(flow(4, "new")), stamp(4)).await;
    create_all(stored, (100..300).map(|number| flow(number, "many"))).await;
    change(stored, Change::delete(id(4)), stamp(5)).await;
    change(stored, Change::create(flow(4, "again")), stamp(6)).await;
    until_same(&last_known, stored).await;
    assert_eq!(last_known.extent().unwrap().flows, 203);
    assert!(last_known.extent().unwrap().is_complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_stays_young_while_nothing_changes_and_ages_while_the_storage_is_away() {
    let place = Place::new().await;
    create_all(&*place.cable, [flow(1, "a")]).await;
    let last_known = place.follow().await;
    let first = until_known(&last_known).await.as_of;
    until("a later look", async || last_known.extent().unwrap().as_of > first).await;
    place.cable.cut();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let cut = last_known.extent().unwrap();
    let age = last_known.age(clock::now()).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(last_known.extent().unwrap(), cut);
    assert!(last_known.age(clock::now()).unwrap() >= age + Duration::from_millis(300));
    place.cable.restore();
    change(&*place.cable, Change::replace(flow(1, "b")), stamp(1)).await;
    until_same(&last_known, &*place.cable).await;
    assert!(last_known.extent().unwrap().as_of > cut.as_of);
}

/// It waits as long as the storage asks for, and longer each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_is_away_is_not_asked_all_the_time() {
    let place = Place::new().await;
    let last_known = place.follow().await;
    until_known(&last_known).await;
    place.cable.cut();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = place.cable.refused();
    assert!((1..=6).contains(&asked), "asked {asked} times in 5 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_left_out_and_nothing_is_said_of_it() {
    let place = Place::new().await;
    let stored = &*place.cable;
    let filling = format!(r#""filling":"{}""#, "x".repeat(400));
    let restarting = format!(r#"{filling},"properties":{{"auto_restart":true}}"#);
    for number in 1..=6 {
        let members = if number % 2 == 0 { &restarting } else { &filling };
        change(stored, Change::create(flow_with(number, "a", members)), stamp(number.into())).await;
    }
    let last_known = place.follow_with(Settings { bytes: 2_100, ..place.settings() }).await;
    let extent = until_known(&last_known).await;
    assert_eq!((extent.flows, extent.is_complete), (4, false));
    let of = |auto_restart| Filter { auto_restart, ..Filter::default() };
    let query = |filter| ListQuery { filter, count: true, ..ListQuery::default() };
    assert_eq!(numbers(&last_known, &query(of(Some(true)))).await, [2, 4, 6]);
    assert_eq!(last_known.get(id(5)).await.unwrap().unwrap().version.updated_at, time(5));
    assert_eq!(unavailable(last_known.get(id(3)).await), "this flow is not among the last known ones; it may exist");
    for filter in [of(None), of(Some(false))] {
        let refused = "the last known flows are not all flows, only lists with `auto_restart=true` are";
        assert_eq!(unavailable(last_known.list(&query(filter.clone())).await), refused);
        assert_eq!(unavailable(last_known.summaries(&query(filter)).await), refused);
    }
    assert_eq!(
        unavailable(last_known.snapshot().try_next().await),
        unavailable(last_known.list(&query(of(None))).await)
    );

    change(stored, Change::replace(flow_with(3, "now", &filling)), stamp(10)).await;
    until("the last to change is in it", async || last_known.get(id(3)).await.is_ok()).await;
    unavailable(last_known.get(id(5)).await);
    for number in [2, 4] {
        change(stored, Change::delete(id(number)), stamp(11)).await;
    }
    until_same(&last_known, stored).await;
    assert!(last_known.extent().unwrap().is_complete, "there is room for all by now");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_history_and_feed_are_not_there() {
    let place = Place::new().await;
    create_all(&*place.cable, [flow(1, "a")]).await;
    let last_known = place.follow().await;
    until_known(&last_known).await;
    let refused = "the last known flows can only be read, as they are";
    assert_eq!(unavailable(last_known.apply(vec![Change::delete(id(1))], stamp(1)).await), refused);
    assert_eq!(unavailable(last_known.history(id(1), None, 1).await), refused);
    assert_eq!(unavailable(last_known.changes(Since::Oldest, 1).await), refused);
}
