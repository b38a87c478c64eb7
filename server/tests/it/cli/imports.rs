//! `strom import`.

use serde_json::{Value, json};

use super::{Store, document, id};

/// Returns the expected last line of an import: the number of flows per outcome.
fn counts(counts: [usize; 6]) -> String {
    let [created, replaced, unchanged, skipped, cloned, refused] = counts;
    format!(
        "created {created}, replaced {replaced}, unchanged {unchanged}, skipped {skipped}, cloned {cloned}, refused {refused}\n"
    )
}

fn names(store: &Store) -> Vec<String> {
    let list: Value = serde_json::from_str(&store.done(&["list", "--json"])).unwrap();
    let flows = list["flows"].as_array().unwrap();
    flows.iter().map(|flow| flow["name"].as_str().unwrap().to_owned()).collect()
}

pub(super) fn import_accepts_files_directories_and_stdin_together(store: &Store) {
    store.file("one.json", &document(1, "one"));
    store.file("flows/b.json", &document(3, "three"));
    store.file("flows/a.json", &format!("[{}]", document(2, "two")));
    store.file("flows/.hidden.json", "none");
    store.file("flows/notes.txt", "none");
    let imported = store.run_with(&["import", "one.json", "flows", "-"], &document(4, "four"));
    assert_eq!(imported, (Some(0), counts([4, 0, 0, 0, 0, 0]), String::new()));
    assert_eq!(names(store), ["four", "one", "three", "two"]);
    assert_eq!(store.done(&["import", "flows"]), counts([0, 0, 2, 0, 0, 0]));
    let history = store.done(&["history", &id(2)]);
    assert!(history.contains("  cli  "), "{history}");
}

pub(super) fn import_with_a_refused_flow_stores_nothing(store: &Store) {
    store.fill(&["a"]);
    store.file("a.json", &document(1, "b"));
    store.file("b.json", &format!(r#"[{},{{"id":"{}","name":7}}]"#, document(2, "two"), id(3)));
    store.file("c.json", &document(2, "again"));
    let (code, stdout, stderr) = store.run(&["import", "a.json", "b.json", "c.json"]);
    let expected = format!(
        "refused    {}  b: the flow exists with different content\n\
         refused    {}  -: b.json: `$[1].name`: expected a string, found a number\n\
         refused    {two}  again: c.json: `$.id`: the flow {two} is a duplicate of b.json: `$[0]`\n{}",
        id(1),
        id(3),
        counts([1, 0, 0, 0, 0, 3]),
        two = id(2),
    );
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(1), expected.as_str(), "nothing was stored\n"));
    assert_eq!(names(store), ["a"]);

    let (code, _, stderr) = store.run_with(&["import", "-"], "{\"id\":");
    let expected = "error: cannot import stdin: not valid JSON of flows: EOF while parsing a value at line 1 column 6\n\
                    nothing was stored; correct the input and try again\n";
    assert_eq!((code, stderr.as_str()), (Some(2), expected));
    for (input, expected) in [
        ("missing.json", "error: cannot read missing.json: No such file or directory (os error 2)\n"),
        ("store-that-is-empty", "error: the directory store-that-is-empty contains no *.json files\n"),
    ] {
        std::fs::create_dir_all(store.path("store-that-is-empty")).unwrap();
        let (code, stdout, stderr) = store.run(&["import", "a.json", input, "--on-conflict", "replace"]);
        assert!((code, stdout.as_str()) == (Some(2), "") && stderr.starts_with(expected), "{stderr}");
    }
    assert_eq!(names(store), ["a"]);
    let (code, _, stderr) = store.run(&["import", "a.json", "--on-conflict", "x"]);
    let expected = "error: invalid value 'x' for '--on-conflict <POLICY>'\n  [possible values: fail, skip, replace, newer, \
                    clone]\n";
    assert!(code == Some(2) && stderr.starts_with(expected), "{stderr}");
}

pub(super) fn on_conflict_applies_to_flows_with_different_content(store: &Store) {
    store.fill(&["a"]);
    let first = id(1);
    let import = |policy| store.run_with(&["import", "-", "--on-conflict", policy], &document(1, "b"));
    let done = |stdout: String| (Some(0), stdout, String::new());
    let skipped = format!("skipped    {first}  b: the flow exists with different content\n");
    assert_eq!(import("skip"), done(skipped + &counts([0, 0, 0, 1, 0, 0])));
    let newer =
        format!("skipped    {first}  b: the imported flow has no modification time in `$.properties.last_modified`\n");
    assert_eq!(import("newer"), done(newer + &counts([0, 0, 0, 1, 0, 0])));
    assert_eq!(names(store), ["a"]);
    assert_eq!(import("replace"), done(counts([0, 1, 0, 0, 0, 0])));
    assert_eq!(names(store), ["b"]);
    let (code, stdout, _) = import("clone");
    assert_eq!((code, stdout.lines().count()), (Some(0), 2));
    let row = stdout.lines().next().unwrap();
    assert!(row.starts_with("cloned     ") && row.ends_with(&format!("  b, a clone of {first}")), "{row}");
    assert_eq!(names(store), ["b", "b"]);
}

/// This also applies to a storage that does not exist yet: a dry run does not create it.
pub(super) fn dry_run_reports_without_writing(store: &Store) {
    let dry = |text: &str, flags: &[&str]| store.run_with(&[&["import", "-", "--dry-run"], flags].concat(), text);
    let notice = "nothing was stored: this was a dry run\n".to_owned();
    let created = format!("created    {}  a\n{}", id(1), counts([1, 0, 0, 0, 0, 0]));
    assert_eq!(dry(&document(1, "a"), &[]), (Some(0), created, notice.clone()));
    assert!(!store.path("store").exists());

    store.fill(&["a"]);
    let both = format!("{}\n{}", document(1, "b"), document(2, "c"));
    let rows = format!("replaced   {}  b\ncreated    {}  c\n{}", id(1), id(2), counts([1, 1, 0, 0, 0, 0]));
    assert_eq!(dry(&both, &["--on-conflict", "replace"]), (Some(0), rows, notice.clone()));
    let (code, report, stderr) = dry(&both, &["--json"]);
    let expected = json!({
        "dry_run": true, "created": 1, "replaced": 0, "unchanged": 0, "skipped": 0, "cloned": 0, "refused": 1,
        "flows": [
            { "id": id(1), "name": "b", "outcome": "refused", "error": "the flow exists with different content" },
            { "id": id(2), "name": "c", "outcome": "created" },
        ],
    });
    assert_eq!((code, stderr.as_str()), (Some(1), "nothing was stored\n"));
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap(), expected);
    assert_eq!(names(store), ["a"]);
}

/// Two documents in every supported format, and two sample files of older versions.
pub(super) fn import_reads_every_supported_format(store: &Store) {
    let (a, b) = (document(1, "a"), document(2, "b"));
    for text in [
        format!(r#"{{"version":1,"flows":[{a},{b}],"x":1}}"#),
        format!(r#"{{"flows":[{a},{b}]}}"#),
        format!("[{a},{b}]"),
        format!("{a}\n{b}\n"),
        // The output of psql -At.
        format!("{}\n{}\n", a.replace("\":\"", "\": \""), b.replace("\",\"", "\", \"")),
    ] {
        assert_eq!(store.run_with(&["import", "-"], &text).1, counts([2, 0, 0, 0, 0, 0]), "{text}");
        store.done(&["delete", &id(1), &id(2)]);
    }
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/flows/");
    for sample in ["legacy-2025-11-14-state-no-positions.json", "storage-file-v1-envelope.json"] {
        let (code, _, stderr) = store.run(&["import", &format!("{samples}{sample}")]);
        assert_eq!(code, Some(0), "{stderr}");
    }
    let newer = store.run_with(&["import", "-"], r#"{"version":2,"flows":[]}"#);
    assert!(newer.0 == Some(2) && newer.2.contains("the version is higher than 1"), "{newer:?}");
}
