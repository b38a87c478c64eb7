//! A JSON file that is opened read-only: no file changes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use strom_store::repository::FlowRepositoryExt as _;

use strom_store::FlowRepository;
use strom_store::internals::samples::{change, create_all, everything, flow, flow_with, id, stamp, time};
use strom_store::json::JsonRepository;
use strom_store::repository::{Change, RepositoryError};

use strom_test_support::json::{File, file_of};

async fn open_read_only(file: &File) -> JsonRepository {
    JsonRepository::open_read_only(&file.path, time(50)).await.unwrap()
}

/// Returns names and contents of all files in the directory, including the lock.
fn files(file: &File) -> Vec<(String, Vec<u8>)> {
    let names = file.names().into_iter();
    names.map(|name| (name.clone(), fs::read(file.directory().join(name)).unwrap())).collect()
}

async fn names(store: &dyn FlowRepository) -> Vec<(String, u64)> {
    let flows = everything(store).await.into_iter();
    flows.map(|flow| (flow.item.head().name.clone(), flow.version.revision.number())).collect()
}

#[tokio::test]
async fn a_read_only_open_of_a_single_file_creates_no_files() {
    let file = File::holding(&file_of(&[&format!(r#"{{"id":"{}","name":"a"}}"#, id(1))]));
    let before = files(&file);
    fs::set_permissions(file.directory(), Permissions::from_mode(0o500)).unwrap();
    let store = open_read_only(&file).await;
    assert_eq!(names(&store).await, [("a".to_owned(), 1)]);
    assert_eq!(store.history(id(1), None, 10).await.unwrap().len(), 1, "the history is as after a start of the server");
    let refused = store.apply_all(vec![Change::create(flow(2, "b"))], stamp(60)).await;
    assert!(matches!(refused, Err(RepositoryError::ReadOnlyInstance)), "{refused:?}");
    let health = store.health().await;
    assert_eq!((health.read_only, health.faults), (true, Vec::new()));
    store.close().await.unwrap();
    fs::set_permissions(file.directory(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(files(&file), before);
}

#[tokio::test]
async fn files_after_a_crash_are_recovered_in_memory_only() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    change(&*store, Change::delete(id(2)), stamp(3)).await;
    let crashed = file.as_after_a_crash();
    store.close().await.unwrap();
    let journal = crashed.sibling("journal");
    fs::write(&journal, [&fs::read(&journal).unwrap()[..], b"{\"crc\":\"torn"].concat()).unwrap();
    fs::write(crashed.directory().join(".flows.json.strom-1-0.tmp"), "left behind").unwrap();
    let before = files(&crashed);
    let reader = open_read_only(&crashed).await;
    assert_eq!(names(&reader).await, [("a".to_owned(), 1)]);
    assert_eq!(reader.deleted().await.unwrap().len(), 1);
    reader.close().await.unwrap();
    assert_eq!(files(&crashed), before);
}

#[tokio::test]
async fn a_read_only_open_shows_an_external_edit() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    store.close().await.unwrap();
    file.write(file_of(&[flow_with(1, "c", "\"x\":1").document().get()]));
    let before = files(&file);
    let reader = open_read_only(&file).await;
    let shown = (names(&reader).await, histories(&reader).await, reader.deleted().await.unwrap().len());
    assert_eq!(shown, (vec![("c".to_owned(), 2)], vec![2, 2], 1));
    let report = strom_server::check::check(&reader, None).await.unwrap();
    assert_eq!(report.findings, [], "the history contains the edit");
    reader.close().await.unwrap();
    assert_eq!(files(&file), before);
    let opened = file.open().await;
    assert_eq!((names(&*opened).await, histories(&*opened).await, opened.deleted().await.unwrap().len()), shown);
    opened.close().await.unwrap();
}

async fn histories(store: &dyn FlowRepository) -> Vec<usize> {
    let mut lengths = Vec::new();
    for number in [1, 2] {
        lengths.push(store.history(id(number), None, 10).await.unwrap().len());
    }
    lengths
}

/// Readers need no lock. Later writes do not change what they show.
#[tokio::test]
async fn readers_next_to_a_writer_see_a_stable_snapshot() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, [flow(1, "a")]).await;
    let (one, other) = (open_read_only(&file).await, open_read_only(&file).await);
    change(&*store, Change::replace(flow_with(1, "b", "\"x\":1")), stamp(9)).await;
    store.close().await.unwrap();
    for reader in [one, other] {
        assert_eq!(names(&reader).await, [("a".to_owned(), 1)]);
        assert_eq!(reader.history(id(1), None, 10).await.unwrap().len(), 1);
        reader.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_file_is_not_created() {
    let file = File::new();
    let missing = file.directory().join("missing/flows.json");
    let error = JsonRepository::open_read_only(&missing, time(50)).await.unwrap_err();
    assert_eq!(error.problem, "No such file or directory (os error 2)");
    assert_eq!(file.names(), [""; 0]);
}
