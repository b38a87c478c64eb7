//! What a start makes of whatever it finds: nothing, an empty file, one bad flow, a directory that cannot be written.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::value::RawValue;
use strom::FlowRepository;
use strom::json::JsonRepository;
use strom::repository::{Author, Change, Precondition, RepositoryError, Revision};
use strom::testkit::samples::{
    change, create_all, everything, flow, flow_with, found, id, moment, parse, stamp, stored, time,
};

use crate::support::json::{File, faults, file_of, hasty, lazy, until};

const GOOD: &str = r#"{"id":"57130000-0000-4000-8000-000000000001","name":"good"}"#;
const FINE: &str = r#"{"id":"57130000-0000-4000-8000-000000000003","name":"fine"}"#;
const CORRECTED: &str = r#"{"id":"57130000-0000-4000-8000-000000000002","name":"corrected"}"#;

#[tokio::test]
async fn without_a_file_nothing_is_made_but_the_lock_and_the_directory() {
    let file = File::new();
    let path = file.directory().join("not/there/flows.json");
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    assert_eq!(everything(&store).await.len(), 0);
    let names = |path: &Path| path.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(path.parent().unwrap()), ["flows.json.lock"]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    store.close().await;
    assert_eq!(names(path.parent().unwrap()), ["flows.json.lock"], "nothing was saved");
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    create_all(&store, [flow(1, "a")]).await;
    store.close().await;
    for entry in path.parent().unwrap().read_dir().unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600, "documents hold passphrases");
    }
}

/// An empty file is what a crash leaves of a program that does not sync. It is not "no flows".
#[tokio::test]
async fn an_empty_or_missing_file_is_put_together_from_the_journal() {
    for content in [Some(""), Some("\u{feff}\r\n "), None] {
        let file = File::new();
        let store = file.open_with(hasty()).await;
        // Enough for the oldest flows to be in the history alone.
        for number in 0..40 {
            create_all(&*store, [flow(number, "a"), flow(100 + number, "to go")]).await;
            change(&*store, Change::delete(id(100 + number)), stamp(1)).await;
        }
        until("there is a history", async || file.beside("history").exists()).await;
        let before = moment(&*store).await;
        store.close().await;
        match content {
            Some(content) => file.write(content),
            None => std::fs::remove_file(&file.path).unwrap(),
        }
        let store = file.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, before, "{content:?}");
        assert_eq!(store.deleted().await.unwrap().len(), 40);
        store.close().await;
        let store = file.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, before, "{content:?}, and once more");
    }
}

/// Flows that cannot be, and what is said of them.
fn bad() -> Vec<(String, &'static str)> {
    let two = r#""id":"57130000-0000-4000-8000-000000000002""#;
    vec![
        ("[\"a list\"]".into(), "`$.flows[1]`: expected an object"),
        (r#"{"name":  "no id"}"#.into(), "`$.flows[1].id`: missing"),
        (r#"{"id":"x","name":"a"}"#.into(), "`$.flows[1].id`: not a UUID"),
        (format!(r#"{{{two}, "name":""}}"#), "`$.flows[1].name`: the name is empty"),
        (
            format!(r#"{{{two},"name":"a","x":{{"y":[1,"\u0000"]}}}}"#),
            "`$.flows[1].x.y[1]`: holds the character U+0000",
        ),
        (format!(r#"{{{two},"name":"a","x":1,"x":2}}"#), "`$.flows[1].x`: the member occurs twice"),
        (format!(r#"{{{two},"name":"a","x":"\ud800"}}"#), "`$.flows[1].x`: holds a lone surrogate"),
        (format!(r#"{{{two},"name":"a","x":{}{}}}"#, "[".repeat(128), "]".repeat(128)), "nested deeper"),
        (GOOD.replace("good", "the same id"), "`$.flows[1]"),
    ]
}

#[tokio::test]
async fn one_bad_flow_stops_no_other_and_stays_as_it_is() {
    for (text, reason) in bad() {
        let file = File::holding(&file_of(&[GOOD, &text, FINE]));
        let store = file.open_with(hasty()).await;
        let names = everything(&*store).await.iter().map(|stored| stored.item.head().name.clone()).collect::<Vec<_>>();
        assert_eq!(names, ["fine", "good"], "{text}");
        let said = faults(&*store).await;
        assert!(said.contains("`$.flows[1]") && said.contains(reason), "{said}");
        change(&*store, Change::create(flow(4, "new")), stamp(0)).await;
        change(&*store, Change::replace(flow(1, "edited")), stamp(1)).await;
        store.close().await;
        let after = file.read();
        assert!(after.contains(&text), "it is there to the letter: {after}");
        assert!(serde_json::from_str::<&RawValue>(&after).is_ok() && after.contains("edited"));

        file.write(after.replace(&text, CORRECTED));
        let store = file.open_with(hasty()).await;
        let corrected = stored(&*store, 2).await;
        assert_eq!((corrected.version.revision, corrected.version.author), (Revision::FIRST, Author::file()), "{text}");
        assert_eq!((everything(&*store).await.len(), faults(&*store).await), (4, String::new()), "{text}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_was_made_bad_by_hand_goes_on_when_it_is_corrected() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "a"), flow(2, "known")]).await;
    store.close().await;
    file.write(file.read().replace("\"known\"", "\"\""));
    let store = file.open_with(hasty()).await;
    assert!(faults(&*store).await.contains("`$.flows[1].name`"));
    create_all(&*store, [flow(3, "c")]).await;
    store.close().await;
    file.write(file.read().replace("\"\"", "\"corrected\""));
    let store = file.open_with(hasty()).await;
    let corrected = stored(&*store, 2).await;
    assert_eq!(corrected.item.head().name, "corrected");
    assert!(corrected.version.revision > Revision::FIRST, "{:?}", corrected.version);
    assert_eq!(corrected.version.author, Author::file());
    assert_eq!(stored(&*store, 1).await.version.revision, Revision::FIRST);
}

#[tokio::test]
async fn a_mark_and_foreign_line_ends_are_read_and_not_written() {
    let file = File::holding(&format!("\u{feff}{}", file_of(&[GOOD, FINE]).replace('\n', "\r\n")));
    let store = file.open_with(hasty()).await;
    assert_eq!((everything(&*store).await.len(), faults(&*store).await), (2, String::new()));
    create_all(&*store, [flow(2, "b")]).await;
    store.close().await;
    let text = file.read();
    assert!(text.starts_with('{') && !text.contains('\r') && text.contains("\"b\""), "{text}");
}

#[tokio::test]
async fn what_a_killed_process_left_is_cleared_away_and_nothing_else() {
    let file = File::holding(&file_of(&[GOOD]));
    let others = [".flows.json.swp", ".other.json.strom-1.tmp", "flows.json.bak", "notes.txt"];
    for name in others.iter().chain(&[".flows.json.strom-4711.tmp"]) {
        std::fs::write(file.directory().join(name), "x").unwrap();
    }
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(2, "b")]).await;
    store.close().await;
    let names = file.names();
    assert!(others.iter().all(|other| names.iter().any(|name| name == other)), "{names:?}");
    assert!(!names.contains(&".flows.json.strom-4711.tmp".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_link_stays_one_and_all_is_beside_the_real_file() {
    let (real, linked) = (File::new(), File::new());
    // To a file that does not exist yet, in a directory that does not exist yet; and through a link to that.
    symlink(real.directory().join("deeper/real.json"), &linked.path).unwrap();
    let directory = linked.directory().join("directory");
    symlink(real.directory().join("deeper"), &directory).unwrap();
    for (number, path) in [(1, linked.path.clone()), (2, directory.join("real.json"))] {
        let store = JsonRepository::open(&path, time(0)).await.unwrap();
        create_all(&store, [flow(number, "a")]).await;
        assert_eq!(everything(&store).await.len(), number as usize);
        store.close().await;
    }
    assert!(linked.path.is_symlink() && directory.is_symlink());
    assert_eq!(linked.names(), ["directory", "flows.json"]);
    let mut names: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["real.json", "real.json.journal", "real.json.lock"]);
}

#[tokio::test]
async fn a_file_that_may_not_be_written_can_be_read() {
    let file = File::holding(&file_of(&[GOOD]));
    std::fs::set_permissions(&file.path, Permissions::from_mode(0o444)).unwrap();
    reads_only(&file.path).await;
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_can_be_read() {
    let file = File::new();
    let mount = Mount::new(file.directory(), "1m");
    file.write(file_of(&[GOOD]));
    match &mount {
        Some(mount) => mount.make_read_only(),
        None if rustix::process::geteuid().is_root() => return eprintln!("not tested: root, and no mount"),
        None => std::fs::set_permissions(file.directory(), Permissions::from_mode(0o555)).unwrap(),
    }
    reads_only(&file.path).await;
    if mount.is_none() {
        std::fs::set_permissions(file.directory(), Permissions::from_mode(0o755)).unwrap();
    }
}

async fn reads_only(path: &Path) {
    let before = std::fs::read(path).unwrap();
    let store = JsonRepository::open(path, time(0)).await.unwrap();
    assert_eq!(stored(&store, 1).await.item.head().name, "good");
    for changes in [vec![Change::create(flow(2, "b"))], vec![Change::delete(id(1))]] {
        let error = store.apply(changes, stamp(0)).await.unwrap_err();
        assert!(matches!(error, RepositoryError::ReadOnly(_)), "{error:?}");
    }
    assert_eq!(everything(&store).await.len(), 1);
    store.close().await;
    assert_eq!(std::fs::read(path).unwrap(), before);
}

/// On a small file system of its own where we may mount one; `json_faults` has the rest.
#[tokio::test]
async fn on_a_full_disk_reads_go_on_and_saves_do_when_there_is_room() {
    let file = File::new();
    let Some(_mount) = Mount::new(file.directory(), "512k") else { return eprintln!("not tested: no mount") };
    let large = |number| flow_with(number, "large", &format!(r#""x":"{}""#, "y".repeat(6_000)));
    let path = file.path.clone();
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    create_all(&store, [large(0)]).await;
    let filler = file.directory().join("filler");
    let fill = || std::fs::write(&filler, vec![1; 1 << 20]).unwrap_err();
    fill();
    let mut saved = 1;
    let error = loop {
        match store.apply(vec![Change::create(large(saved))], stamp(1)).await {
            Ok(_) => saved += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, RepositoryError::Unavailable { .. }), "{error:?}");
    let there = async |store: &dyn FlowRepository| {
        for number in 0..saved {
            assert!(found(store, number).await.is_some(), "{number} of {saved}");
        }
    };
    there(&store).await;
    store.close().await;
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    there(&store).await;
    std::fs::remove_file(&filler).unwrap();
    let again = || Change::Put(large(saved), Precondition::Any);
    until("saves work again", async || store.apply(vec![again()], stamp(2)).await.is_ok()).await;
    there(&store).await;
    store.close().await;
    let store = JsonRepository::open(&path, time(0)).await.unwrap();
    there(&store).await;
    assert_eq!(everything(&store).await.len(), saved as usize + 1);
    store.close().await;
}

/// A file system in memory; it goes with the value.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// `None` where we may not.
    fn new(place: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "strom-test"]).arg(place).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(place))
    }

    fn make_read_only(&self) {
        assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// The documents of a store whose journal is gone are there, and new.
#[tokio::test]
async fn the_file_alone_is_enough() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    change(&*store, Change::replace(parse(GOOD)), stamp(1)).await;
    store.close().await;
    let alone = File::holding(&file.read());
    let store = alone.open_with(lazy()).await;
    for stored in everything(&*store).await {
        assert_eq!((stored.version.revision, stored.version.author), (Revision::FIRST, Author::file()));
    }
    assert_eq!(stored(&*store, 1).await.item.head().name, "good");
}
