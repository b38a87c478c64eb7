//! `strom export`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::process::{Pid, Signal, kill_process};

use super::{Store, document, id};
use strom_test_support::postgres::{run, wait_for_count};

/// Stores flows whose members, numbers and order are not in canonical form.
fn fill(store: &Store) {
    let second = format!(
        r#"{{"name":"b","z":[1.50,1e2,18446744073709551616],"running":true,"a":{{"y":"é\n","x":{{}}}},"id":"{}"}}"#,
        id(1)
    );
    let (code, _, stderr) = store.run_with(&["import", "-"], &format!("{second}\n{}", document(2, "a")));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

/// Returns the canonical export, with this runtime member in the second flow.
fn expected(runtime: &str) -> String {
    format!(
        r#"{{
  "version": 1,
  "flows": [
    {{
      "id": "00000000-0000-4000-8000-000000000002",
      "name": "a"
    }},
    {{
      "a": {{
        "x": {{}},
        "y": "é\n"
      }},
      "id": "00000000-0000-4000-8000-000000000001",
      "name": "b",
{runtime}      "z": [
        1.5,
        100,
        18446744073709551616
      ]
    }}
  ]
}}
"#
    )
}

pub(super) fn export_is_canonical(store: &Store) {
    fill(store);
    assert_eq!(store.done(&["export"]), expected("      \"running\": true,\n"));
    assert_eq!(store.done(&["export", "--without-runtime"]), expected(""));
    let lines = format!(
        "{}\n{{\"a\":{{\"x\":{{}},\"y\":\"é\\n\"}},\"id\":\"{}\",\"name\":\"b\",\"z\":[1.5,100,18446744073709551616]}}\n",
        document(2, "a"),
        id(1)
    );
    assert_eq!(store.done(&["export", "--format", "ndjson", "--without-runtime"]), lines);
    store.done(&["delete", &id(1), &id(2)]);
    assert_eq!(store.done(&["export"]), "{\n  \"version\": 1,\n  \"flows\": []\n}\n");
    assert_eq!(store.done(&["export", "--format", "ndjson"]), "");
}

pub(super) fn an_export_can_be_imported_without_loss(store: &Store) {
    fill(store);
    let before = store.done(&["export"]);
    for format in ["json", "ndjson", "dir"] {
        let path = format!("exported.{format}");
        assert_eq!(store.done(&["export", "--format", format, "-o", &path]), "");
        store.done(&["delete", &id(1), &id(2)]);
        let imported = store.done(&["import", &path]);
        assert_eq!(imported, "created 2, replaced 0, unchanged 0, skipped 0, cloned 0, refused 0\n", "{format}");
        assert_eq!(store.done(&["export"]), before);
    }
}

/// The replacement keeps the symbolic link and the permissions, and leaves no temporary file.
pub(super) fn export_replaces_a_file_atomically(store: &Store) {
    fill(store);
    let file = store.file("out/flows.json", "older");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&file, store.path("link.json")).unwrap();
    store.done(&["export", "-o", "link.json"]);
    assert!(store.path("link.json").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), store.done(&["export"]));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(file.parent().unwrap().read_dir().unwrap().count(), 1);
    assert_eq!(store.done(&["export", "-o", "/dev/stdout"]), store.done(&["export"]));
    store.done(&["export", "-o", "new.json"]);
    assert_eq!(store.path("new.json").metadata().unwrap().permissions().mode() & 0o777, 0o600, "flows contain secrets");
}

pub(super) fn export_to_a_directory_updates_only_its_own_files(store: &Store) {
    store.fill(&["Studio 1: news", "студия"]);
    store.file("flows/readme.md", "mine");
    store.file("flows/mine.json", "mine");
    let files = || {
        let entries = fs::read_dir(store.path("flows")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    };
    let export = || store.done(&["export", "--format", "dir", "-o", "flows"]);
    assert_eq!(export(), "");
    let (first, second) = (format!("studio-1-news-{}.json", id(1)), format!("{}.json", id(2)));
    assert_eq!(files(), [".strom-export", &second, "mine.json", "readme.md", &first]);
    let text = format!("{{\n  \"id\": \"{}\",\n  \"name\": \"Studio 1: news\"\n}}\n", id(1));
    assert_eq!(fs::read_to_string(store.path("flows").join(&first)).unwrap(), text);

    // Unchanged files are not written. Files of renamed and deleted flows are removed. Foreign files remain.
    let written = store.path("flows").join(&first).metadata().unwrap().modified().unwrap();
    store.done(&["delete", &id(2)]);
    export();
    assert_eq!(files(), [".strom-export", "mine.json", "readme.md", &first]);
    assert_eq!(store.path("flows").join(&first).metadata().unwrap().modified().unwrap(), written);
    store.run_with(&["put", "-"], &document(1, "Gallery"));
    export();
    let renamed = format!("gallery-{}.json", id(1));
    assert_eq!(files(), [".strom-export", renamed.as_str(), "mine.json", "readme.md"]);

    // An interrupted export may list files that it has not written yet.
    let leftover = format!("new-{}.json", id(7));
    store.file(&format!("flows/{leftover}"), &document(7, "new"));
    store.file("flows/.strom-export", &format!("{renamed}\n{leftover}\nother-{}.json\n", id(8)));
    export();
    assert_eq!(files(), [".strom-export", renamed.as_str(), "mine.json", "readme.md"]);
    assert_eq!(fs::read_to_string(store.path("flows/.strom-export")).unwrap(), format!("{renamed}\n"));

    // An export ignores list entries outside of the directory and entries that it cannot have written.
    let outside = store.file(&format!("a-{}.json", id(9)), "mine");
    store.file("flows/.strom-export", &format!("../a-{}.json\nreadme.md\nmine.json\n", id(9)));
    export();
    assert!(outside.exists());
    assert_eq!(files().len(), 4);
}

pub(super) fn export_reports_unwritable_outputs(store: &Store) {
    fill(store);
    fs::create_dir(store.path("directory")).unwrap();
    store.file("file", "mine");
    for (arguments, expected) in [
        (&["--format", "dir"] as &[&str], "error: --format dir requires an output directory\nset it with -o\n"),
        (
            &["-o", "directory"],
            "error: directory is a directory\nwrite one file per flow with --format dir, or set -o to a file\n",
        ),
        (&["-o", "missing/flows.json"], "error: cannot write missing/flows.json: No such file or directory "),
        (&["-o", "/dev/full"], "error: cannot write /dev/full: No space left on device (os error 28)\n"),
        (&["-o", "file", "--format", "dir"], "error: cannot write file: File exists (os error 17)\n"),
        (
            &["--format", "x"],
            "error: invalid value 'x' for '--format <FORMAT>'\n  [possible values: json, ndjson, dir]\n",
        ),
    ] {
        let (code, stdout, stderr) = store.run(&[&["export"], arguments].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with(expected), "{stderr}");
    }
    assert_eq!(fs::read_to_string(store.path("file")).unwrap(), "mine");
}

/// The stored document is nested too deeply to parse. Partial output could be mistaken for a complete export.
#[tokio::test(flavor = "multi_thread")]
async fn export_fails_on_an_unreadable_flow_postgres() {
    let store = Store::postgres().await;
    let (id, depth) = (id(1), 200);
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let sql = format!(
        r#"INSERT INTO flows (id, name, data) VALUES ('{id}', 'a', '{{"id":"{id}","name":"a","x":{nested}}}')"#
    );
    run(&mut store.connect().await, &sql).await;
    let file = store.file("flows.json", "older");
    for arguments in [&["export", "-o", "flows.json"] as &[&str], &["export", "--format", "ndjson"], &["get", &id]] {
        let (code, _, stderr) = store.run(arguments);
        let expected = format!("error: the flow {id} cannot be read: `$.x[0]");
        assert!(code == Some(2) && stderr.starts_with(&expected), "{arguments:?}: {stderr}");
        assert!(
            stderr.ends_with("`strom get --compact` shows it, and `strom check` finds all such flows\n"),
            "{stderr}"
        );
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "older");
    let is_hidden = |entry: fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    assert!(!store.path(".").read_dir().unwrap().any(|entry| is_hidden(entry.unwrap())), "no temporary file remains");
    assert!(store.done(&["get", "--compact", &id]).contains(&"[".repeat(depth)));
    assert_eq!(store.done(&["list", "--count"]), "1\n");
}

/// A stopped export or backup deletes its temporary file and leaves the previous file unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_export_leaves_no_temporary_file_postgres() {
    let store = Store::postgres().await;
    let file = store.file("out/flows.json", "older");
    // The observer needs its own connection: within a transaction, pg_stat_activity does not change.
    let (mut locker, mut observer) = (store.connect().await, store.connect().await);
    run(&mut locker, "BEGIN; LOCK TABLE flows IN ACCESS EXCLUSIVE MODE").await;
    let unchanged = "out/flows.json is unchanged";
    let commands = [
        (&["export", "-o", "out/flows.json"] as &[&str], unchanged),
        (&["export", "-o", "out/new.ndjson", "--format", "ndjson"], "out/new.ndjson is unchanged"),
        (&["backup", "out/new.gz"], "out/new.gz is unchanged"),
        (
            &["export", "-o", "out", "--format", "dir"],
            "out may contain some new and some old versions of flows\nrepeat the export",
        ),
    ];
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let children = commands.map(|(arguments, expected)| (store.command(arguments).spawn().unwrap(), expected));
        wait_for_count(&mut observer, waiting, commands.len() as i64).await;
        for (mut child, expected) in children {
            kill_process(Pid::from_child(&child), signal).unwrap();
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(2));
            assert_eq!(stderr, format!("error: stopped by a signal; {expected}\n"));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "older");
        assert_eq!(store.path("out").read_dir().unwrap().count(), 1, "{signal:?}");
        wait_for_count(&mut observer, waiting, 0).await;
    }
}

/// The lock of a temporary file ends with the process that has created it.
pub(super) fn export_deletes_temporary_files_of_killed_exports(store: &Store) {
    fill(store);
    let leftover = store.file("out/.strom-export-aaaaaa.tmp", "half");
    let in_use = store.file("out/.strom-export-bbbbbb.tmp", "half");
    let other = store.file("out/.other.tmp", "mine");
    let locked = fs::File::open(&in_use).unwrap();
    locked.lock().unwrap();
    for arguments in [&["export", "-o", "out/flows.json"] as &[&str], &["export", "-o", "out", "--format", "dir"]] {
        store.file("out/.strom-export-aaaaaa.tmp", "half");
        store.done(arguments);
        assert!(!leftover.exists() && in_use.exists() && other.exists());
    }
}
