//! The paths of an open store lead to another place: the directory is removed, renamed or covered, a link moves, or
//! another program replaces a file. No change is acknowledged that a restart would not find, nothing is written to the
//! other place, and earlier changes are set aside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strom_store::FlowRepository;
use strom_store::internals::faulty_disk::{self, FaultyDisk};
use strom_store::internals::samples::{
    change, create_all, everything, flow, flows_of_file, found, id, moment, stamp, time,
};
use strom_store::json::{JsonRepository, Settings};
use strom_store::repository::{Change, FlowRepositoryExt as _, Precondition, RepositoryError, Status};

use strom_test_support::eventually::{eventually, eventually_some};
use strom_test_support::json::{File, faults, file_of, hasty, lazy};
use strom_test_support::mount::Mount;

const OTHER: &str = r#"{"id":"57130000-0000-4000-8000-00000000000b","name":"other"}"#;

/// A directory in a temporary directory, so that the test can remove, rename or cover it.
struct Directory {
    file: File,
    path: PathBuf,
}

impl Directory {
    fn new() -> Self {
        let file = File::new();
        let path = file.directory().join("store");
        fs::create_dir(&path).unwrap();
        Self { file, path }
    }

    fn flows(&self) -> PathBuf {
        self.path.join("flows.json")
    }

    /// Opens a store with one flow.
    async fn open(&self, settings: Settings) -> Arc<dyn FlowRepository> {
        let store = open(&self.flows(), settings).await;
        create_all(&*store, [flow(1, "acknowledged")]).await;
        store
    }

    fn sibling(&self, name: &str) -> PathBuf {
        self.file.directory().join(name)
    }
}

async fn open(path: &Path, settings: Settings) -> Arc<dyn FlowRepository> {
    Arc::new(JsonRepository::open_with(path, time(0), settings).await.unwrap())
}

/// Checks that the store rejects a change without writing it.
async fn check_rejected(store: &dyn FlowRepository) {
    let error = store.apply_all(vec![Change::create(flow(2, "rejected"))], stamp(2)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { outcome_unknown: false, .. }), "{error:?}");
    assert!(found(store, 2).await.is_none());
    assert!(found(store, 1).await.is_some(), "reads work");
    let health = store.health().await;
    assert!(matches!(health.status, Status::Unavailable(_)) && !health.faults.is_empty(), "{health:?}");
}

/// Waits for the file with the acknowledged flows that a fault names, and checks its content.
async fn check_set_aside(store: &dyn FlowRepository) {
    let path = eventually_some("the flows are set aside", async || {
        let faults = faults(store).await;
        faults.split(['\n', ' ']).find(|word| word.contains(".rescued-")).map(PathBuf::from)
    });
    let flows = flows_of_file(&path.await);
    assert_eq!(flows.iter().map(|flow| flow.head().name.as_str()).collect::<Vec<_>>(), ["acknowledged"]);
}

fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = directory.read_dir().unwrap().map(|entry| entry.unwrap());
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut files: Vec<_> = entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect();
    files.retain(|(name, _)| !name.contains(".rescued-"));
    files.sort();
    files
}

/// Fills a directory with another store: four files.
async fn fill(directory: &Path) {
    let path = directory.join("flows.json");
    let store = open(&path, hasty()).await;
    for edit in 0..40 {
        change(&*store, Change::Put(flow(7, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    eventually("the history exists", async || directory.join("flows.json.history").exists()).await;
    let _ = store.close().await;
}

#[tokio::test]
async fn removed_directory_rejects_changes_and_sets_flows_aside() {
    for settings in [hasty(), lazy()] {
        let directory = Directory::new();
        let store = directory.open(settings).await;
        fs::remove_dir_all(&directory.path).unwrap();
        check_rejected(&*store).await;
        check_set_aside(&*store).await;
        assert!(!directory.path.exists(), "the store does not create a directory in an unknown place");
        let _ = store.close().await;
    }
}

#[tokio::test]
async fn recreated_directory_is_not_written() {
    for settings in [hasty(), lazy()] {
        let directory = Directory::new();
        let store = directory.open(settings).await;
        fs::remove_dir_all(&directory.path).unwrap();
        fs::create_dir(&directory.path).unwrap();
        check_rejected(&*store).await;
        check_set_aside(&*store).await;
        let _ = store.close().await;
        assert_eq!(contents(&directory.path), []);
    }
}

#[tokio::test]
async fn renamed_directory_rejects_changes_until_it_is_back() {
    let directory = Directory::new();
    let store = directory.open(hasty()).await;
    let away = directory.sibling("away");
    fs::rename(&directory.path, &away).unwrap();
    check_rejected(&*store).await;
    fs::create_dir(&directory.path).unwrap();
    fill(&directory.path).await;
    let other = contents(&directory.path);
    check_rejected(&*store).await;
    check_set_aside(&*store).await;
    assert_eq!(contents(&directory.path), other, "the other store is unchanged");
    fs::rename(&directory.path, directory.sibling("other")).unwrap();
    fs::rename(&away, &directory.path).unwrap();
    eventually("the fault ends", async || faults(&*store).await.is_empty()).await;
    assert_eq!(store.health().await.status, Status::Ready);
    create_all(&*store, [flow(2, "accepted")]).await;
    let before = moment(&*store).await;
    let _ = store.close().await;
    let store = open(&directory.flows(), hasty()).await;
    assert_eq!(moment(&*store).await, before);
}

#[tokio::test]
async fn volume_mounted_over_the_directory_stays_unchanged() {
    for settings in [hasty(), lazy()] {
        let directory = Directory::new();
        let store = directory.open(settings).await;
        let Some(_mount) = Mount::memory(&directory.path, "2m") else { return eprintln!("not tested: no mount") };
        fill(&directory.path).await;
        let other = contents(&directory.path);
        check_rejected(&*store).await;
        check_set_aside(&*store).await;
        let _ = store.close().await;
        assert_eq!(contents(&directory.path), other);
    }
}

#[tokio::test]
async fn moved_link_to_the_directory_rejects_changes_until_it_is_back() {
    let directory = Directory::new();
    let (link, other) = (directory.sibling("data"), directory.sibling("other"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("flows.json"), file_of(&[OTHER])).unwrap();
    let before = contents(&other);
    let point_to = |target: &Path| {
        let new = directory.sibling("new");
        symlink(target, &new).unwrap();
        fs::rename(new, &link).unwrap();
    };
    point_to(&directory.path);
    let store = open(&link.join("flows.json"), hasty()).await;
    create_all(&*store, [flow(1, "acknowledged")]).await;
    point_to(&other);
    check_rejected(&*store).await;
    assert_eq!(contents(&other), before);
    assert!(faults(&*store).await.contains("is now a link to"), "{}", faults(&*store).await);
    point_to(&directory.path);
    eventually("the fault ends", async || faults(&*store).await.is_empty()).await;
    create_all(&*store, [flow(2, "accepted")]).await;
    point_to(&other);
    let _ = store.close().await;
    assert_eq!(contents(&other), before);
}

#[tokio::test]
async fn file_replaced_by_a_link_to_another_store_rejects_changes() {
    let directory = Directory::new();
    let other = directory.sibling("other.json");
    fs::write(&other, file_of(&[OTHER])).unwrap();
    let store = directory.open(hasty()).await;
    eventually("the file is written", async || directory.flows().exists()).await;
    fs::remove_file(directory.flows()).unwrap();
    symlink(&other, directory.flows()).unwrap();
    check_rejected(&*store).await;
    let _ = store.close().await;
    assert!(directory.flows().is_symlink());
    assert_eq!(fs::read_to_string(other).unwrap(), file_of(&[OTHER]));
}

#[tokio::test]
async fn overwritten_or_replaced_journal_rejects_changes_and_stays_unchanged() {
    for settings in [hasty(), lazy()] {
        for is_renamed in [false, true] {
            let directory = Directory::new();
            let journal = directory.path.join("flows.json.journal");
            let store = open(&directory.flows(), settings.clone()).await;
            create_all(&*store, [flow(1, "in the backup")]).await;
            let backup = directory.sibling("backup");
            fs::copy(&journal, &backup).unwrap();
            change(&*store, Change::replace(flow(1, "acknowledged")), stamp(1)).await;
            // The checkpoint ends with its note in the journal.
            eventually("the file contains both changes", async || {
                let lines = String::from_utf8(fs::read(&journal).unwrap()).unwrap();
                lines.contains("\"file\":2") || settings.interval.as_secs() > 1
            })
            .await;
            match is_renamed {
                true => fs::rename(&backup, &journal).unwrap(),
                false => drop(fs::copy(&backup, &journal).unwrap()),
            }
            let restored = fs::read(&journal).unwrap();
            check_rejected(&*store).await;
            check_set_aside(&*store).await;
            let _ = store.close().await;
            let left = fs::read(&journal).unwrap();
            assert!(left == restored, "renamed: {is_renamed}, {} bytes instead of {}", left.len(), restored.len());
        }
    }
}

/// The check happens after the sync: the directory moves while the save waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn save_is_not_acknowledged_if_the_directory_moves_during_its_sync() {
    let directory = Directory::new();
    let disk = FaultyDisk::new(directory.file.durable());
    let store = faulty_disk::open(&directory.flows(), time(0), hasty(), &disk).await.unwrap();
    create_all(&*store, [flow(1, "acknowledged")]).await;
    eventually("the file is written", async || directory.flows().exists()).await;
    for move_away in [
        (|directory: &Directory| fs::rename(&directory.path, directory.sibling("away"))) as fn(&Directory) -> _,
        |directory| fs::rename(directory.path.join("flows.json.lock"), directory.sibling("away")),
        |directory| fs::rename(directory.path.join("flows.json.journal"), directory.sibling("away")),
    ] {
        let before = moment(&*store).await;
        disk.hold_syncs(true);
        let saving = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.apply_all(vec![Change::create(flow(2, "unknown"))], stamp(2)).await }
        });
        eventually("the save waits for its sync", async || disk.held_syncs() == 1).await;
        move_away(&directory).unwrap();
        disk.hold_syncs(false);
        let error = saving.await.unwrap().unwrap_err();
        assert!(matches!(error, RepositoryError::Unavailable { outcome_unknown: true, .. }), "{error:?}");
        if !directory.path.exists() {
            fs::rename(directory.sibling("away"), &directory.path).unwrap();
        }
        eventually("the fault ends", async || faults(&*store).await.is_empty()).await;
        assert_eq!(moment(&*store).await, before, "the save was not made");
        change(&*store, Change::replace(flow(1, "acknowledged")), stamp(3)).await;
        change(&*store, Change::Delete(id(3), Precondition::Any), stamp(3)).await;
    }
    let before = moment(&*store).await;
    let _ = store.close().await;
    let store = open(&directory.flows(), hasty()).await;
    assert_eq!(moment(&*store).await, before, "a restart does not find the save either");
}

/// The journal is locked as well, so the lock file is not all that prevents a second writer.
#[tokio::test]
async fn second_writer_is_rejected_although_the_lock_file_was_removed() {
    for settings in [hasty(), lazy()] {
        let directory = Directory::new();
        let store = directory.open(settings).await;
        for _ in 0..3 {
            let _ = fs::remove_file(directory.path.join("flows.json.lock"));
            let error = JsonRepository::open_with(&directory.flows(), time(0), lazy()).await.unwrap_err();
            assert!(error.problem.starts_with("in use by "), "{}", error.problem);
            eventually("saves work", async || {
                store.apply_all(vec![Change::replace(flow(1, "acknowledged"))], stamp(1)).await.is_ok()
            })
            .await;
        }
        let _ = store.close().await;
    }
}

#[tokio::test]
async fn second_writer_is_rejected_through_a_hard_link() {
    let directory = Directory::new();
    let store = directory.open(hasty()).await;
    eventually("the file is written", async || directory.flows().exists()).await;
    let other = directory.sibling("other.json");
    fs::hard_link(directory.flows(), &other).unwrap();
    // The store notices the new name at its next check.
    eventually("a second writer is rejected", async || {
        let opened = JsonRepository::open_with(&other, time(0), lazy()).await;
        opened.is_err_and(|error| error.problem.starts_with("in use by "))
    })
    .await;
    let _ = store.close().await;
    assert!(JsonRepository::open_with(&other, time(0), lazy()).await.is_ok());
}

/// Before the first save there is no journal, so a second process can take over. Then the first one must not save.
#[tokio::test]
async fn only_one_of_two_processes_without_a_journal_can_save() {
    let directory = Directory::new();
    let first = open(&directory.flows(), lazy()).await;
    fs::remove_file(directory.path.join("flows.json.lock")).unwrap();
    let second = open(&directory.flows(), lazy()).await;
    let error = first.apply_all(vec![Change::create(flow(1, "first"))], stamp(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { outcome_unknown: false, .. }), "{error:?}");
    create_all(&*second, [flow(1, "second")]).await;
    let error = first.apply_all(vec![Change::create(flow(1, "first"))], stamp(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { outcome_unknown: false, .. }), "{error:?}");
    let _ = first.close().await;
    let _ = second.close().await;
    let store = open(&directory.flows(), lazy()).await;
    assert_eq!(everything(&*store).await[0].item.head().name, "second");
}

#[tokio::test]
async fn history_of_another_store_is_not_replaced() {
    let directory = Directory::new();
    let store = directory.open(hasty()).await;
    let history = directory.path.join("flows.json.history");
    fs::write(&history, "another history").unwrap();
    for edit in 0..40 {
        change(&*store, Change::replace(flow(1, &format!("edit {edit}"))), stamp(edit)).await;
    }
    eventually("the fault is reported", async || faults(&*store).await.contains("another program")).await;
    assert_eq!(fs::read_to_string(&history).unwrap(), "another history");
    fs::remove_file(&history).unwrap();
    eventually("the fault ends", async || faults(&*store).await.is_empty()).await;
}

#[tokio::test]
async fn file_mounted_by_itself_is_rejected() {
    let directory = Directory::new();
    let outside = directory.sibling("mounted.json");
    fs::write(&outside, file_of(&[OTHER])).unwrap();
    fs::write(directory.flows(), "").unwrap();
    let Some(_mount) = Mount::bind(&outside, &directory.flows()) else { return eprintln!("not tested: no mount") };
    let link = directory.sibling("link.json");
    symlink(directory.flows(), &link).unwrap();
    for path in [directory.flows(), link] {
        let error = JsonRepository::open_with(&path, time(0), hasty()).await.unwrap_err();
        assert!(error.problem.ends_with("is mounted as a single file, which cannot be replaced"), "{error}");
        assert!(error.remedy.starts_with("Mount the directory instead"), "{error}");
    }
    let reader = JsonRepository::open_read_only(&directory.flows(), time(0)).await.unwrap();
    assert_eq!(everything(&reader).await.len(), 1);
    assert_eq!(contents(&directory.path).len(), 1, "no other file was created");
}

/// The lock is taken when the directory becomes writable. Flows that were edited until then are read again.
#[tokio::test]
async fn store_in_a_read_only_directory_is_not_ready_until_the_directory_is_writable() {
    let directory = Directory::new();
    let Some(mount) = Mount::memory(&directory.path, "2m") else { return eprintln!("not tested: no mount") };
    let store = directory.open(hasty()).await;
    let _ = store.close().await;
    let before = moment(&*open(&directory.flows(), hasty()).await).await;
    mount.remount("ro");
    let store = open(&directory.flows(), hasty()).await;
    let health = store.health().await;
    assert!(
        matches!(&health.status, Status::Unavailable(reason) if reason.contains("Make the directory")),
        "{health:?}"
    );
    let error = store.apply_all(vec![Change::create(flow(2, "b"))], stamp(2)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::ReadOnly(_)), "{error:?}");
    assert_eq!(moment(&*store).await, before);
    mount.remount("rw");
    eventually("the store is ready", async || store.health().await.status == Status::Ready).await;
    create_all(&*store, [flow(2, "b")]).await;
    assert_eq!(faults(&*store).await, "");
    let before = moment(&*store).await;
    let _ = store.close().await;
    assert_eq!(moment(&*open(&directory.flows(), hasty()).await).await, before);
}
