//! Files that the store rejects. The error names the file and the problem, and the file stays unchanged.

use strom_store::internals::samples::{create_all, flow, moment, time};
use strom_store::json::JsonRepository;

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, hasty, lazy};

/// Invalid contents of the file, each with an expected part of the message.
fn cases() -> Vec<(Vec<u8>, &'static str)> {
    let cases = [
        ("{\"version\":1,\n\"flows\":[", "line 2 column 9"),
        ("{\"version\":1,\"flows\":[]}}", "line 1"),
        ("[]", "`$`"),
        (r#"{"version":1}"#, "`$.flows`"),
        (r#"{"flows":[]}"#, "`$.version`"),
        (r#"{"version":"1","flows":[]}"#, "`$.version`"),
        (r#"{"version":0,"flows":[]}"#, "`$.version`"),
        (r#"{"version":2,"flows":{}}"#, "`$.version`: the version is higher than 1"),
        (r#"{"version":1,"flows":{}}"#, "`$.flows`: expected an array"),
        (r#"{"version":1,"flows":null}"#, "`$.flows`: expected an array"),
        (r#"{"version":1,"flows":[],"flows":[]}"#, "`$.flows`"),
    ];
    let mut cases: Vec<_> = cases.map(|(text, expected)| (text.as_bytes().to_vec(), expected)).into();
    cases.push((b"{\"version\":1,\"flows\":[\"\xff\"]}".to_vec(), "line 1 column 24"));
    cases
}

#[tokio::test]
async fn invalid_file_is_rejected_unchanged() {
    let empty = [(Vec::new(), "empty"), ("\u{feff} \n".as_bytes().to_vec(), "empty")];
    for (content, expected) in cases().into_iter().chain(empty) {
        let file = File::new();
        file.write(&content);
        let error = file.try_open().await.unwrap_err();
        assert_eq!(std::fs::read(&file.path).unwrap(), content, "the file is unchanged");
        assert_eq!(file.names(), ["flows.json", "flows.json.lock"]);
        assert_eq!(error.location, file.path.display().to_string());
        assert!(error.remedy.ends_with('.'), "{}", error.remedy);
        assert!(error.problem.contains(expected), "{}", error.problem);
    }
}

/// The journal has the flows, but the file may contain edits of a user. The user must move the file away.
#[tokio::test]
async fn invalid_file_next_to_a_journal_is_rejected_until_it_is_moved() {
    for (content, expected) in cases() {
        let file = File::new();
        let store = file.open_with(lazy()).await;
        create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
        let before = moment(&*store).await;
        store.close().await.unwrap();
        drop(store);
        file.write(&content);
        let contents = file.contents();
        let error = file.try_open().await.unwrap_err();
        assert_eq!(file.contents(), contents, "all files are unchanged");
        assert!(error.problem.contains(expected), "{}", error.problem);
        assert!(error.to_string().contains("journal"), "the message mentions the journal: {error}");

        std::fs::rename(&file.path, file.sibling("away")).unwrap();
        let store = file.open_with(lazy()).await;
        assert_eq!(moment(&*store).await, before, "the journal contains every change");
        store.close().await.unwrap();
        assert_eq!(std::fs::read(file.sibling("away")).unwrap(), content);
    }
}

#[tokio::test]
async fn directory_is_rejected() {
    let file = File::new();
    let error = JsonRepository::open(file.directory(), time(0)).await.unwrap_err();
    assert_eq!(error.problem, "not a file");
}

#[tokio::test]
async fn second_open_fails_with_the_id_of_the_first_process() {
    let file = File::new();
    let first = file.open().await;
    let link = file.directory().join("link.json");
    std::os::unix::fs::symlink("flows.json", &link).unwrap();
    for path in [&file.path, &link] {
        let error = JsonRepository::open_with(path, time(0), hasty()).await.unwrap_err();
        assert!(error.problem.starts_with(&format!("in use by the process {} on the host ", std::process::id())));
    }
    first.close().await.unwrap();
    file.open().await;
}

#[tokio::test]
async fn stale_lock_file_does_not_prevent_opening() {
    let file = File::new();
    std::fs::write(file.sibling("lock"), "4194304999 and more\n").unwrap();
    let store = file.open().await;
    let lock = std::fs::read_to_string(file.sibling("lock")).unwrap();
    assert!(lock.starts_with(&format!("{{\"process\":{},\"host\":\"", std::process::id())), "{lock}");
    // The file becomes free without a close when the store is dropped.
    drop(store);
    eventually("the file is free", async || file.open_on(&file.disk(), hasty()).await.is_ok()).await;
}
