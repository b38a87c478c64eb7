//! Opening a file to look: nothing is written, whatever is found.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use strom::FlowRepository;
use strom::json::JsonRepository;
use strom::repository::{Change, RepositoryError};
use strom::testkit::samples::{change, create_all, everything, flow, flow_with, id, stamp, time};

use crate::support::json::{File, file_of};

async fn look(file: &File) -> JsonRepository {
    JsonRepository::look(&file.path, time(50)).await.unwrap()
}

/// Names and contents of all files, the lock among them.
fn all(file: &File) -> Vec<(String, Vec<u8>)> {
    let names = file.names().into_iter();
    names.map(|name| (name.clone(), fs::read(file.directory().join(name)).unwrap())).collect()
}

async fn names(store: &dyn FlowRepository) -> Vec<(String, u64)> {
    let flows = everything(store).await.into_iter();
    flows.map(|flow| (flow.item.head().name.clone(), flow.version.revision.number())).collect()
}

#[tokio::test]
async fn a_file_alone_stays_alone() {
    let file = File::holding(&file_of(&[&format!(r#"{{"id":"{}","name":"a"}}"#, id(1))]));
    let before = all(&file);
    fs::set_permissions(file.directory(), Permissions::from_mode(0o500)).unwrap();
    let store = look(&file).await;
    assert_eq!(names(&store).await, [("a".to_owned(), 1)]);
    assert_eq!(store.history(id(1), None, 10).await.unwrap().len(), 1, "as a start would take it in");
    let refused = store.apply(vec![Change::create(flow(2, "b"))], stamp(60)).await;
    assert!(matches!(refused, Err(RepositoryError::ReadOnlyInstance)), "{refused:?}");
    let health = store.health().await;
    assert_eq!((health.read_only, health.faults), (true, Vec::new()));
    store.close().await;
    fs::set_permissions(file.directory(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(all(&file), before);
}

/// Nobody finds out by looking that the crash was set right.
#[tokio::test]
async fn what_a_crash_has_left_is_shown_and_stays() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    change(&*store, Change::delete(id(2)), stamp(3)).await;
    let crashed = file.as_after_a_crash();
    store.close().await;
    let journal = crashed.beside("journal");
    fs::write(&journal, [&fs::read(&journal).unwrap()[..], b"{\"crc\":\"torn"].concat()).unwrap();
    fs::write(crashed.directory().join(".flows.json.strom-1-0.tmp"), "left behind").unwrap();
    let before = all(&crashed);
    let looking = look(&crashed).await;
    assert_eq!(names(&looking).await, [("a".to_owned(), 1)]);
    assert_eq!(looking.deleted().await.unwrap().len(), 1);
    looking.close().await;
    assert_eq!(all(&crashed), before);
}

#[tokio::test]
async fn an_edit_is_shown_as_a_start_takes_it_in() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    store.close().await;
    file.write(file_of(&[flow_with(1, "c", "\"x\":1").document().get()]));
    let before = all(&file);
    let looking = look(&file).await;
    let shown = (names(&looking).await, histories(&looking).await, looking.deleted().await.unwrap().len());
    assert_eq!(shown, (vec![("c".to_owned(), 2)], vec![2, 2], 1));
    let report = strom::check::check(&looking, None).await.unwrap();
    assert_eq!(report.findings, [], "the history has it, too");
    looking.close().await;
    assert_eq!(all(&file), before);
    let opened = file.open().await;
    assert_eq!((names(&*opened).await, histories(&*opened).await, opened.deleted().await.unwrap().len()), shown);
    opened.close().await;
}

async fn histories(store: &dyn FlowRepository) -> Vec<usize> {
    let mut lengths = Vec::new();
    for number in [1, 2] {
        lengths.push(store.history(id(number), None, 10).await.unwrap().len());
    }
    lengths
}

/// Two may look at once; whoever has it is left alone; and what was seen stays, whoever writes later.
#[tokio::test]
async fn a_file_in_use_is_refused_and_a_moment_stays() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, [flow(1, "a")]).await;
    let error = JsonRepository::look(&file.path, time(50)).await.unwrap_err();
    assert_eq!(error.problem, format!("in use by the process {}", std::process::id()));
    store.close().await;
    let (one, other) = (look(&file).await, look(&file).await);
    let store = file.open().await;
    change(&*store, Change::replace(flow_with(1, "b", "\"x\":1")), stamp(9)).await;
    store.close().await;
    for looking in [one, other] {
        assert_eq!(names(&looking).await, [("a".to_owned(), 1)]);
        assert_eq!(looking.history(id(1), None, 10).await.unwrap().len(), 1);
        looking.close().await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_made() {
    let file = File::new();
    let missing = file.directory().join("missing/flows.json");
    let error = JsonRepository::look(&missing, time(50)).await.unwrap_err();
    assert_eq!(error.problem, "No such file or directory (os error 2)");
    assert_eq!(file.names(), [""; 0]);
}
