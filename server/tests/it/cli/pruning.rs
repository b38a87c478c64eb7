//! `strom import --prune`: makes the storage equal to a directory.

use std::fs;

use serde_json::{Value, json};

use super::{Store, document, id};
use crate::serve::outcome;
use strom_test_support::postgres::{run, wait_for_count};

fn export(store: &Store) {
    store.done(&["export", "--format", "dir", "-o", "flows", "--without-runtime"]);
}

fn counts(created: usize, replaced: usize, unchanged: usize, deleted: usize) -> String {
    format!(
        "created {created}, replaced {replaced}, unchanged {unchanged}, skipped 0, cloned 0, refused 0, deleted {deleted}\n"
    )
}

const RESTORE: &str = "to restore a deleted flow, run `strom restore ID --revision N`\n";

/// The directory differs from the storage as after a change in version control: one flow edited, one added, one removed.
pub(super) fn prune_applies_a_directory_to_the_storage(store: &Store) {
    store.fill(&["a", "b", "c"]);
    export(store);
    let file = |number, name: &str| format!("flows/{name}-{}.json", id(number));
    fs::remove_file(store.path(&file(3, "c"))).unwrap();
    store.file(&file(2, "b"), &document(2, "B"));
    store.file("flows/new.json", &document(4, "new"));

    let before = store.done(&["export"]);
    let deleted = format!("deleted    {}  c, revision 1\n", id(3));
    let rows = format!("unchanged  {}  a\nreplaced   {}  B\ncreated    {}  new\n{deleted}", id(1), id(2), id(4));
    let notice = "nothing was stored: this was a dry run\n".to_owned();
    let planned = store.run(&["import", "flows", "--prune", "--dry-run"]);
    assert_eq!(planned, (Some(0), rows + &counts(1, 1, 1, 1), notice));
    assert_eq!(store.done(&["export"]), before);

    let applied = store.run(&["import", "flows", "--prune", "--on-conflict", "replace"]);
    assert_eq!(applied, (Some(0), deleted + &counts(1, 1, 1, 1), RESTORE.to_owned()));
    let after = store.done(&["export"]);
    assert_eq!(store.done(&["import", "flows", "--prune"]), counts(0, 0, 3, 0), "a second import changes nothing");
    assert_eq!(store.done(&["export"]), after);

    let restored = format!("created  {}  revision 3, as it was at 1\n", id(3));
    assert_eq!(store.done(&["restore", &id(3), "--revision", "1"]), restored);
    let (code, report, stderr) = store.run(&["import", "flows", "--prune", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), RESTORE));
    let unchanged = |number, name| json!({ "id": id(number), "name": name, "outcome": "unchanged" });
    let deleted = json!({ "id": id(3), "name": "c", "outcome": "deleted", "revision": 3 });
    let expected = json!({
        "dry_run": false, "created": 0, "replaced": 0, "unchanged": 3, "skipped": 0, "cloned": 0, "refused": 0, "deleted": 1,
        "flows": [unchanged(1, "a"), unchanged(2, "B"), unchanged(4, "new"), deleted],
    });
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap(), expected);
}

pub(super) fn prune_with_a_refused_flow_changes_nothing(store: &Store) {
    store.fill(&["a", "b"]);
    export(store);
    fs::remove_file(store.path(&format!("flows/b-{}.json", id(2)))).unwrap();
    store.file("flows/c.json", &format!(r#"{{"id":"{}","name":7}}"#, id(3)));
    let before = store.done(&["export"]);
    let refused = format!("refused    {}  -: flows/c.json: `$.name`: expected a string, found a number\n", id(3));
    let (code, stdout, stderr) = store.run(&["import", "flows", "--prune"]);
    let counts = "created 0, replaced 0, unchanged 1, skipped 0, cloned 0, refused 1, deleted 1\n";
    assert_eq!((code, stdout, stderr.as_str()), (Some(1), refused + counts, "nothing was stored\n"));
    assert_eq!(store.done(&["export"]), before);
}

/// This protects against a wrong or empty directory.
pub(super) fn deleting_every_flow_requires_prune_all(store: &Store) {
    store.fill(&["a", "b"]);
    store.file("other/c.json", &document(3, "c"));
    store.file("none/none.json", "[]");
    fs::create_dir(store.path("empty")).unwrap();
    let before = store.done(&["export"]);
    let all = "the directory contains no flow of the storage, so --prune would delete all of them; to confirm, add \
               --prune-all\nnothing was stored\n";
    assert_eq!(store.run(&["import", "other", "--prune"]), (Some(1), counts(1, 0, 0, 2), all.to_owned()));
    assert_eq!(store.run(&["import", "none", "--prune"]), (Some(1), counts(0, 0, 0, 2), all.to_owned()));
    let (code, rows, stderr) = store.run(&["import", "other", "--prune", "--dry-run"]);
    let expected = format!(
        "created    {}  c\ndeleted    {}  a, revision 1\ndeleted    {}  b, revision 1\n{}",
        id(3),
        id(1),
        id(2),
        counts(1, 0, 0, 2)
    );
    assert_eq!((code, rows, stderr.as_str()), (Some(1), expected, all));
    let (code, stdout, stderr) = store.run(&["import", "empty", "--prune"]);
    let expected = "error: the directory empty contains no *.json files\nfor other file names, pass the files instead \
                    of the directory\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(2), "", expected));
    assert_eq!(store.done(&["export"]), before);

    let deleted = format!("deleted    {}  a, revision 1\ndeleted    {}  b, revision 1\n", id(1), id(2));
    let applied = store.run(&["import", "other", "--prune", "--prune-all"]);
    assert_eq!(applied, (Some(0), deleted + &counts(1, 0, 0, 2), RESTORE.to_owned()));
    let deleted = format!("deleted    {}  c, revision 1\n", id(3));
    let applied = store.run(&["import", "empty", "--prune", "--prune-all"]);
    assert_eq!(applied, (Some(0), deleted + &counts(0, 0, 0, 1), RESTORE.to_owned()));
    assert_eq!(store.done(&["import", "none", "--prune"]), counts(0, 0, 0, 0), "an empty storage needs no --prune-all");
}

/// The exported files have no runtime members. Their absence is not a change.
pub(super) fn prune_preserves_runtime_members_of_unchanged_flows(store: &Store) {
    let document = |name: &str, report: &str| format!(r#"{{"id":"{}","name":"{name}"{report}}}"#, id(1));
    store.run_with(&["put", "-"], &document("a", r#","gst_state":"Playing""#));
    export(store);
    assert_eq!(store.done(&["import", "flows", "--prune"]), counts(0, 0, 1, 0));
    assert!(store.done(&["get", &id(1)]).contains("Playing"));
    store.file(&format!("flows/a-{}.json", id(1)), &document("b", ""));
    assert_eq!(store.done(&["import", "flows", "--prune"]), counts(0, 1, 0, 0));
    assert!(!store.done(&["get", &id(1)]).contains("Playing"), "a replaced flow has the document of the file");
    assert_eq!(store.done(&["history", &id(1)]).lines().count(), 3);
}

pub(super) fn prune_requires_one_directory(store: &Store) {
    store.fill(&["a"]);
    export(store);
    store.file("one.json", &document(2, "b"));
    let one = "error: --prune requires one directory as the only input\npass one directory and no other input\n";
    let replace = "error: --prune makes the storage equal to the directory, so it replaces existing flows\n\
                   omit --on-conflict, or use `--on-conflict replace`\n";
    for (inputs, expected) in [
        (&["one.json"] as &[&str], one),
        (&["-"], one),
        (&["flows", "one.json"], one),
        (&["flows", "flows"], one),
        (&["missing"], one),
        (&["flows", "--on-conflict", "skip"], replace),
    ] {
        let outcome = store.run(&[&["import", "--prune"], inputs].concat());
        assert_eq!(outcome, (Some(2), String::new(), expected.to_owned()), "{inputs:?}");
    }
    let (code, _, stderr) = store.run(&["import", "flows", "--prune-all"]);
    assert!(code == Some(2) && stderr.contains("--prune\n"), "{stderr}");
    assert_eq!(store.done(&["list", "--count"]), "1\n");
}

/// If a flow changes between comparison and deletion, the import compares again and reports the deleted revision.
#[tokio::test(flavor = "multi_thread")]
async fn prune_re_plans_a_concurrently_changed_flow_postgres() {
    let store = Store::postgres().await;
    store.fill(&["a", "b"]);
    export(&store);
    fs::remove_file(store.path(&format!("flows/b-{}.json", id(2)))).unwrap();
    let (mut writer, mut observer) = (store.connect().await, store.connect().await);
    run(&mut writer, &format!("BEGIN; UPDATE flows SET name = 'c' WHERE id = '{}'", id(2))).await;
    let child = store.command(&["import", "flows", "--prune"]).spawn().unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_for_count(&mut observer, waiting, 1).await;
    run(&mut writer, "COMMIT").await;
    let deleted = format!("deleted    {}  c, revision 2\n{}", id(2), counts(0, 0, 1, 1));
    assert_eq!(outcome(&child.wait_with_output().unwrap()), (Some(0), deleted, RESTORE.to_owned()));
}
