//! Files that are not opened: named, explained, and left byte for byte as they are.

use strom::json::JsonRepository;
use strom::testkit::samples::{create_all, flow, moment, time};

use crate::support::json::{File, hasty, lazy, until};

/// What is written over the file, and what the message says about it.
fn cases() -> Vec<(Vec<u8>, &'static str)> {
    let cases = [
        ("{\"version\":1,\n\"flows\":[", "line 2 column 9"),
        ("{\"version\":1,\"flows\":[]}}", "line 1"),
        ("[]", "`$`"),
        (r#"{"version":1}"#, "`$.flows`"),
        (r#"{"flows":[]}"#, "`$.version`"),
        (r#"{"version":"1","flows":[]}"#, "`$.version`"),
        (r#"{"version":0,"flows":[]}"#, "`$.version`"),
        (r#"{"version":2,"flows":{}}"#, "`$.version`: the file is of a newer version than 1"),
        (r#"{"version":1,"flows":{}}"#, "`$.flows`: expected an array"),
        (r#"{"version":1,"flows":null}"#, "`$.flows`: expected an array"),
        (r#"{"version":1,"flows":[],"flows":[]}"#, "`$.flows`"),
    ];
    let mut cases: Vec<_> = cases.map(|(text, expected)| (text.as_bytes().to_vec(), expected)).into();
    cases.push((b"{\"version\":1,\"flows\":[\"\xff\"]}".to_vec(), "line 1 column 24"));
    cases
}

#[tokio::test]
async fn a_file_that_is_no_file_of_flows_is_refused() {
    let empty = [(Vec::new(), "empty"), ("\u{feff} \n".as_bytes().to_vec(), "empty")];
    for (content, expected) in cases().into_iter().chain(empty) {
        let file = File::new();
        file.write(&content);
        let error = file.try_open().await.unwrap_err();
        assert_eq!(std::fs::read(&file.path).unwrap(), content, "the file is as it was");
        assert_eq!(file.names(), ["flows.json", "flows.json.lock"]);
        assert_eq!(error.location, file.path.display().to_string());
        assert!(error.remedy.ends_with('.'), "{}", error.remedy);
        assert!(error.problem.contains(expected), "{}", error.problem);
    }
}

/// The journal has the flows, but whose the file is now nobody knows. It takes one step of a person.
#[tokio::test]
async fn beside_a_journal_it_is_refused_until_it_is_moved_away() {
    for (content, expected) in cases() {
        let file = File::new();
        let store = file.open_with(lazy()).await;
        create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
        let before = moment(&*store).await;
        store.close().await;
        drop(store);
        file.write(&content);
        let contents = file.contents();
        let error = file.try_open().await.unwrap_err();
        assert_eq!(file.contents(), contents, "everything is as it was");
        assert!(error.problem.contains(expected), "{}", error.problem);
        assert!(error.to_string().contains("journal"), "it says that nothing is lost: {error}");

        std::fs::rename(&file.path, file.beside("away")).unwrap();
        let store = file.open_with(lazy()).await;
        assert_eq!(moment(&*store).await, before, "all is put together from the journal");
        store.close().await;
        assert_eq!(std::fs::read(file.beside("away")).unwrap(), content);
    }
}

#[tokio::test]
async fn only_files_are_opened() {
    let file = File::new();
    let error = JsonRepository::open(file.directory(), time(0)).await.unwrap_err();
    assert_eq!(error.problem, "not a file");
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_the_file() {
    let file = File::new();
    let first = file.open().await;
    let link = file.directory().join("link.json");
    std::os::unix::fs::symlink("flows.json", &link).unwrap();
    for path in [&file.path, &link] {
        let error = JsonRepository::open(path, time(0)).await.unwrap_err();
        assert_eq!(error.problem, format!("in use by the process {}", std::process::id()));
    }
    first.close().await;
    file.open().await;
}

#[tokio::test]
async fn a_lock_left_behind_is_no_obstacle() {
    let file = File::new();
    std::fs::write(file.beside("lock"), "4194304999 and more\n").unwrap();
    let store = file.open().await;
    let lock = std::fs::read_to_string(file.beside("lock")).unwrap();
    assert_eq!(lock, format!("{}\n", std::process::id()));
    // Without a close, too, the file is free when nobody has the store any more.
    drop(store);
    until("the file is free", async || file.open_on(&file.disk(), hasty()).await.is_ok()).await;
}
