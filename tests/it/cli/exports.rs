//! `strom export`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::process::{Pid, Signal, kill_process};

use super::{Store, document, id};
use crate::support::postgres::{run, wait_for_count};

/// Members, numbers and flows out of order.
fn fill(store: &Store) {
    let second = format!(
        r#"{{"name":"b","z":[1.50,1e2,18446744073709551616],"running":true,"a":{{"y":"é\n","x":{{}}}},"id":"{}"}}"#,
        id(1)
    );
    let (code, _, stderr) = store.run_with(&["import", "-"], &format!("{second}\n{}", document(2, "a")));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

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

pub(super) fn a_file_is_canonical(store: &Store) {
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

pub(super) fn what_came_out_goes_in_again(store: &Store) {
    fill(store);
    let before = store.done(&["export"]);
    for format in ["json", "ndjson", "dir"] {
        let place = format!("exported.{format}");
        assert_eq!(store.done(&["export", "--format", format, "-o", &place]), "");
        store.done(&["delete", &id(1), &id(2)]);
        let imported = store.done(&["import", &place]);
        assert_eq!(imported, "created 2, replaced 0, unchanged 0, skipped 0, cloned 0, refused 0\n", "{format}");
        assert_eq!(store.done(&["export"]), before);
    }
}

/// A link stays one, who may read it stays so, and nothing is left beside it.
pub(super) fn a_file_is_replaced_at_once(store: &Store) {
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
    assert_eq!(store.path("new.json").metadata().unwrap().permissions().mode() & 0o777, 0o600, "flows hold secrets");
}

pub(super) fn a_directory_has_a_file_per_flow(store: &Store) {
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

    // What has not changed is not written anew; what was renamed or is gone goes; what is somebody else's stays.
    let written = store.path("flows").join(&first).metadata().unwrap().modified().unwrap();
    store.done(&["delete", &id(2)]);
    export();
    assert_eq!(files(), [".strom-export", "mine.json", "readme.md", &first]);
    assert_eq!(store.path("flows").join(&first).metadata().unwrap().modified().unwrap(), written);
    store.run_with(&["put", "-"], &document(1, "Gallery"));
    export();
    let renamed = format!("gallery-{}.json", id(1));
    assert_eq!(files(), [".strom-export", renamed.as_str(), "mine.json", "readme.md"]);

    // One that was broken off has the names of what it wrote, and of what it did not.
    let leftover = format!("new-{}.json", id(7));
    store.file(&format!("flows/{leftover}"), &document(7, "new"));
    store.file("flows/.strom-export", &format!("{renamed}\n{leftover}\nother-{}.json\n", id(8)));
    export();
    assert_eq!(files(), [".strom-export", renamed.as_str(), "mine.json", "readme.md"]);
    assert_eq!(fs::read_to_string(store.path("flows/.strom-export")).unwrap(), format!("{renamed}\n"));

    // The list of what was written names nothing outside.
    let outside = store.file(&format!("a-{}.json", id(9)), "mine");
    store.file("flows/.strom-export", &format!("../a-{}.json\nreadme.md\nmine.json\n", id(9)));
    export();
    assert!(outside.exists());
    assert_eq!(files().len(), 4);
}

pub(super) fn outputs_that_cannot_be_written_are_named(store: &Store) {
    fill(store);
    fs::create_dir(store.path("directory")).unwrap();
    store.file("file", "mine");
    for (arguments, expected) in [
        (&["--format", "dir"] as &[&str], "error: a directory is to be written, and none is named\nname it with -o\n"),
        (
            &["-o", "directory"],
            "error: directory is a directory\nwrite one file per flow with --format dir, or name a file with -o\n",
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

/// Deeper than any Strom reads. Half an export would be taken for a whole one.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_cannot_be_read_is_named_postgres() {
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
        assert!(stderr.ends_with("`strom get --compact` shows it, and `strom check` finds all of these\n"), "{stderr}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "older");
    assert!(store.done(&["get", "--compact", &id]).contains(&"[".repeat(depth)));
    assert_eq!(store.done(&["list", "--count"]), "1\n");
}

/// What is written so far goes, and what was there stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_stopped_leaves_nothing_postgres() {
    let store = Store::postgres().await;
    let file = store.file("out/flows.json", "older");
    // Within its transaction the other one would always be shown the same.
    let (mut other, mut looking) = (store.connect().await, store.connect().await);
    run(&mut other, "BEGIN; LOCK TABLE flows IN ACCESS EXCLUSIVE MODE").await;
    for (arguments, expected) in [
        (&["-o", "out/flows.json"] as &[&str], "nothing was put in place of out/flows.json"),
        (
            &["-o", "out", "--format", "dir"],
            "out may have some flows as they are and others as they were\nexport again",
        ),
    ] {
        let mut child = store.command(&[&["export"], arguments].concat()).spawn().unwrap();
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait_for_count(&mut looking, waiting, 1).await;
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(2));
        assert_eq!(stderr, format!("error: stopped by a signal; {expected}\n"));
        wait_for_count(&mut looking, waiting, 0).await;
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "older");
    assert_eq!(store.path("out").read_dir().unwrap().count(), 1);
}
