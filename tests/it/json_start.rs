//! Opening a store in any initial state: no file, an empty file, an invalid flow, a read-only directory.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use strom_store::repository::FlowRepositoryExt as _;

use serde_json::value::RawValue;
use strom_store::FlowRepository;
use strom_store::internals::samples::{
    change, create_all, everything, flow, flow_with, found, id, moment, parse, stamp, stored, time,
};
use strom_store::json::JsonRepository;
use strom_store::repository::{Author, Change, Precondition, RepositoryError, Revision};

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, faults, file_of, hasty, lazy};
use strom_test_support::mount::Mount;

const FIRST: &str = r#"{"id":"57130000-0000-4000-8000-000000000001","name":"first"}"#;
const THIRD: &str = r#"{"id":"57130000-0000-4000-8000-000000000003","name":"third"}"#;
const CORRECTED: &str = r#"{"id":"57130000-0000-4000-8000-000000000002","name":"corrected"}"#;

#[tokio::test]
async fn open_without_a_file_creates_only_lock_and_directory() {
    let file = File::new();
    let path = file.directory().join("missing/directory/flows.json");
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    assert_eq!(everything(&store).await.len(), 0);
    let names = |path: &Path| path.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(path.parent().unwrap()), ["flows.json.lock"]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    store.close().await.unwrap();
    assert_eq!(names(path.parent().unwrap()), ["flows.json.lock"], "a close without changes writes no file");
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    create_all(&store, [flow(1, "a")]).await;
    store.close().await.unwrap();
    for entry in path.parent().unwrap().read_dir().unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600, "documents contain passphrases");
    }
}

/// A crash of a program that does not sync leaves an empty file. It does not mean "no flows".
#[tokio::test]
async fn empty_or_missing_file_is_rebuilt_from_the_journal() {
    for content in [Some(""), Some("\u{feff}\r\n "), None] {
        let file = File::new();
        let store = file.open_with(hasty()).await;
        // Enough changes for the oldest flows to be only in the history.
        for number in 0..40 {
            create_all(&*store, [flow(number, "a"), flow(100 + number, "deleted")]).await;
            change(&*store, Change::delete(id(100 + number)), stamp(1)).await;
        }
        eventually("the history file exists", async || file.sibling("history").exists()).await;
        let before = moment(&*store).await;
        store.close().await.unwrap();
        match content {
            Some(content) => file.write(content),
            None => std::fs::remove_file(&file.path).unwrap(),
        }
        let store = file.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, before, "{content:?}");
        assert_eq!(store.deleted().await.unwrap().len(), 40);
        store.close().await.unwrap();
        let store = file.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, before, "{content:?}, opened twice");
    }
}

/// Returns invalid flows, each with the expected error.
fn invalid_flows() -> Vec<(String, &'static str)> {
    let two = r#""id":"57130000-0000-4000-8000-000000000002""#;
    vec![
        ("[\"a list\"]".into(), "`$.flows[1]`: expected an object"),
        (r#"{"name":  "no id"}"#.into(), "`$.flows[1].id`: missing"),
        (r#"{"id":"x","name":"a"}"#.into(), "`$.flows[1].id`: not a UUID"),
        (format!(r#"{{{two}, "name":""}}"#), "`$.flows[1].name`: the name is empty"),
        (
            format!(r#"{{{two},"name":"a","x":{{"y":[1,"\u0000"]}}}}"#),
            "`$.flows[1].x.y[1]`: contains the character U+0000",
        ),
        (format!(r#"{{{two},"name":"a","x":1,"x":2}}"#), "`$.flows[1].x`: the member is duplicated"),
        (format!(r#"{{{two},"name":"a","x":"\ud800"}}"#), "`$.flows[1].x`: contains a lone surrogate"),
        (format!(r#"{{{two},"name":"a","x":{}{}}}"#, "[".repeat(128), "]".repeat(128)), "nested deeper"),
        (FIRST.replace("first", "the same id"), "`$.flows[1]"),
    ]
}

#[tokio::test]
async fn invalid_flow_is_reported_and_stays_in_the_file() {
    for (text, reason) in invalid_flows() {
        let file = File::holding(&file_of(&[FIRST, &text, THIRD]));
        let store = file.open_with(hasty()).await;
        let names = everything(&*store).await.iter().map(|stored| stored.item.head().name.clone()).collect::<Vec<_>>();
        assert_eq!(names, ["first", "third"], "{text}");
        let reported = faults(&*store).await;
        assert!(reported.contains("`$.flows[1]") && reported.contains(reason), "{reported}");
        change(&*store, Change::create(flow(4, "new")), stamp(0)).await;
        change(&*store, Change::replace(flow(1, "edited")), stamp(1)).await;
        store.close().await.unwrap();
        let after = file.read();
        assert!(after.contains(&text), "the invalid flow is unchanged: {after}");
        assert!(serde_json::from_str::<&RawValue>(&after).is_ok() && after.contains("edited"));

        file.write(after.replace(&text, CORRECTED));
        let store = file.open_with(hasty()).await;
        let corrected = stored(&*store, 2).await;
        assert_eq!((corrected.version.revision, corrected.version.author), (Revision::FIRST, Author::file()), "{text}");
        assert_eq!((everything(&*store).await.len(), faults(&*store).await), (4, String::new()), "{text}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn corrected_flow_continues_its_revisions() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "a"), flow(2, "known")]).await;
    store.close().await.unwrap();
    file.write(file.read().replace("\"known\"", "\"\""));
    let store = file.open_with(hasty()).await;
    assert!(faults(&*store).await.contains("`$.flows[1].name`"));
    create_all(&*store, [flow(3, "c")]).await;
    store.close().await.unwrap();
    file.write(file.read().replace("\"\"", "\"corrected\""));
    let store = file.open_with(hasty()).await;
    let corrected = stored(&*store, 2).await;
    assert_eq!(corrected.item.head().name, "corrected");
    assert!(corrected.version.revision > Revision::FIRST, "{:?}", corrected.version);
    assert_eq!(corrected.version.author, Author::file());
    assert_eq!(stored(&*store, 1).await.version.revision, Revision::FIRST);
}

#[tokio::test]
async fn byte_order_mark_and_crlf_are_read_and_not_written() {
    let file = File::holding(&format!("\u{feff}{}", file_of(&[FIRST, THIRD]).replace('\n', "\r\n")));
    let store = file.open_with(hasty()).await;
    assert_eq!((everything(&*store).await.len(), faults(&*store).await), (2, String::new()));
    create_all(&*store, [flow(2, "b")]).await;
    store.close().await.unwrap();
    let text = file.read();
    assert!(text.starts_with('{') && !text.contains('\r') && text.contains("\"b\""), "{text}");
}

#[tokio::test]
async fn only_temporary_files_of_the_store_are_removed() {
    let file = File::holding(&file_of(&[FIRST]));
    let others = [".flows.json.swp", ".other.json.strom-1.tmp", "flows.json.bak", "notes.txt"];
    for name in others.iter().chain(&[".flows.json.strom-4711.tmp"]) {
        std::fs::write(file.directory().join(name), "x").unwrap();
    }
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(2, "b")]).await;
    store.close().await.unwrap();
    let names = file.names();
    assert!(others.iter().all(|other| names.iter().any(|name| name == other)), "{names:?}");
    assert!(!names.contains(&".flows.json.strom-4711.tmp".to_owned()), "{names:?}");
}

#[tokio::test]
async fn symbolic_link_is_kept_and_files_are_next_to_its_target() {
    let (real, linked) = (File::new(), File::new());
    // A link to a missing file in a missing directory, and a link to that directory.
    symlink(real.directory().join("deeper/real.json"), &linked.path).unwrap();
    let directory = linked.directory().join("directory");
    symlink(real.directory().join("deeper"), &directory).unwrap();
    for (number, path) in [(1, linked.path.clone()), (2, directory.join("real.json"))] {
        let store = JsonRepository::open(&path, time(0)).await.unwrap();
        create_all(&store, [flow(number, "a")]).await;
        assert_eq!(everything(&store).await.len(), number as usize);
        store.close().await.unwrap();
    }
    assert!(linked.path.is_symlink() && directory.is_symlink());
    assert_eq!(linked.names(), ["directory", "flows.json"]);
    let mut names: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["real.json", "real.json.journal", "real.json.lock"]);
}

#[tokio::test]
async fn read_only_file_can_be_read() {
    let file = File::holding(&file_of(&[FIRST]));
    std::fs::set_permissions(&file.path, Permissions::from_mode(0o444)).unwrap();
    check_read_only(&file.path).await;
}

#[tokio::test]
async fn read_only_directory_can_be_read() {
    let file = File::new();
    let mount = Mount::memory(file.directory(), "1m");
    file.write(file_of(&[FIRST]));
    match &mount {
        Some(mount) => mount.remount("ro"),
        None if rustix::process::geteuid().is_root() => return eprintln!("not tested: root, and no mount"),
        None => std::fs::set_permissions(file.directory(), Permissions::from_mode(0o555)).unwrap(),
    }
    check_read_only(&file.path).await;
    if mount.is_none() {
        std::fs::set_permissions(file.directory(), Permissions::from_mode(0o755)).unwrap();
    }
}

async fn check_read_only(path: &Path) {
    let before = std::fs::read(path).unwrap();
    let store = JsonRepository::open(path, time(0)).await.unwrap();
    assert_eq!(stored(&store, 1).await.item.head().name, "first");
    for changes in [vec![Change::create(flow(2, "b"))], vec![Change::delete(id(1))]] {
        let error = store.apply_all(changes, stamp(0)).await.unwrap_err();
        assert!(matches!(error, RepositoryError::ReadOnly(_)), "{error:?}");
    }
    assert_eq!(everything(&store).await.len(), 1);
    store.close().await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), before);
}

/// Uses a small file system if the test may mount one. `json_faults` simulates full disks elsewhere.
#[tokio::test]
async fn full_disk_allows_reads_and_saves_resume_when_space_is_free() {
    let file = File::new();
    let Some(_mount) = Mount::memory(file.directory(), "512k") else { return eprintln!("not tested: no mount") };
    let large = |number| flow_with(number, "large", &format!(r#""x":"{}""#, "y".repeat(6_000)));
    let path = file.path.clone();
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    create_all(&store, [large(0)]).await;
    let filler = file.directory().join("filler");
    let fill = || std::fs::write(&filler, vec![1; 1 << 20]).unwrap_err();
    fill();
    let mut saved = 1;
    let error = loop {
        match store.apply_all(vec![Change::create(large(saved))], stamp(1)).await {
            Ok(_) => saved += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, RepositoryError::Unavailable { .. }), "{error:?}");
    let check_saved = async |store: &dyn FlowRepository| {
        for number in 0..saved {
            assert!(found(store, number).await.is_some(), "{number} of {saved}");
        }
    };
    check_saved(&store).await;
    let close = async |store: JsonRepository, flows: u32| {
        let closed = store.close().await;
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let is_complete = text.matches("\"large\"").count() == flows as usize;
        assert_eq!(closed.is_ok(), is_complete, "the close reports an incomplete file: {closed:?}");
    };
    close(store, saved).await;
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    check_saved(&store).await;
    std::fs::remove_file(&filler).unwrap();
    let next_save = || Change::Put(large(saved), Precondition::Any);
    eventually("saves work again", async || store.apply_all(vec![next_save()], stamp(2)).await.is_ok()).await;
    check_saved(&store).await;
    // The file may not fit next to the journal.
    close(store, saved + 1).await;
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    check_saved(&store).await;
    assert_eq!(everything(&store).await.len(), saved as usize + 1);
    close(store, saved + 1).await;
}

/// Without a journal, the flows of the file are new revisions with the author `file`.
#[tokio::test]
async fn file_without_a_journal_is_imported() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    change(&*store, Change::replace(parse(FIRST)), stamp(1)).await;
    store.close().await.unwrap();
    let copy = File::holding(&file.read());
    let store = copy.open_with(lazy()).await;
    for stored in everything(&*store).await {
        assert_eq!((stored.version.revision, stored.version.author), (Revision::FIRST, Author::file()));
    }
    assert_eq!(stored(&*store, 1).await.item.head().name, "first");
}
