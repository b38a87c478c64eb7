//! `strom get`, `put` and `delete`.

use super::{Store, document, id};

/// Returns the outcome of a command that exits with 1 and prints only this to stderr.
fn negative(stderr: &str) -> super::Outcome {
    (Some(1), String::new(), stderr.to_owned())
}

pub(super) fn put_get_and_delete_report_revisions(store: &Store) {
    let (first, text) = (id(1), document(1, "Studio 1"));
    let file = store.file("studio.json", &text);
    let file = file.to_str().unwrap();
    assert_eq!(store.done(&["put", file]), format!("created  {first}  revision 1\n"));
    assert_eq!(store.done(&["put", file]), format!("unchanged  {first}  revision 1\n"));
    let changed = document(1, "Studio 2");
    let replaced = (Some(0), format!("replaced  {first}  revision 2\n"), String::new());
    assert_eq!(store.run_with(&["put", "-"], &format!("\u{feff}{changed}\n")), replaced);

    let enclosed = format!("\u{feff}{{\"flow\": {changed}}}");
    let unchanged = (Some(0), format!("unchanged  {first}  revision 2\n"), String::new());
    assert_eq!(store.run_with(&["put", "-"], &enclosed), unchanged);
    let imported = store.run_with(&["import", "-"], &format!("{enclosed}\n"));
    assert_eq!((imported.0, imported.1.contains("unchanged 1")), (Some(0), true), "{imported:?}");

    let compact = store.done(&["get", &first, "--compact"]);
    let value = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!((compact.lines().count(), value(&compact)), (1, value(&changed)));
    let pretty = store.done(&["get", &first.to_uppercase()]);
    assert_eq!(pretty.lines().count(), 4, "{pretty}");
    assert!(pretty.contains("\n  \"name\": \"Studio 2\""), "{pretty}");
    assert!(store.done(&["get", &first, "--revision", "1"]).contains("\"Studio 1\""));

    assert_eq!(store.done(&["delete", &first]), format!("deleted  {first}  revision 3\n"));
    assert_eq!(store.run(&["get", &first]), negative(&format!("there is no flow {first}\n")));
    assert!(store.done(&["get", &first, "--revision", "2"]).contains("\"Studio 2\""));
    let missing_revision = negative(&format!("the flow {first} has no revision 9, or it is no longer retained\n"));
    assert_eq!(store.run(&["get", &first, "--revision", "9"]), missing_revision);

    let (code, stdout, stderr) = store.run_with(&["put", "-"], r#"{"name":"without an id"}"#);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let assigned = stdout.strip_prefix("created  ").and_then(|rest| rest.strip_suffix("  revision 1\n")).unwrap();
    assert!(store.done(&["get", assigned]).contains("without an id"));
}

pub(super) fn failed_preconditions_store_nothing(store: &Store) {
    store.fill(&["a"]);
    let first = id(1);
    let put = |flags: &[&str], name: &str| store.run_with(&[&["put", "-"], flags].concat(), &document(1, name));
    assert_eq!(put(&["--new"], "b"), negative(&format!("the flow {first} already exists\n")));
    let stale = negative(&format!("the flow {first} is at revision 1, not at 2\n"));
    assert_eq!(put(&["--if-revision", "2"], "b"), stale);
    assert!(store.done(&["get", &first]).contains("\"a\""));
    assert_eq!(put(&["--if-revision", "1"], "b").0, Some(0));
    let conflict =
        format!("the flow {first} is at revision 2, not at 1\nsince then: `name` was changed from \"a\" to \"b\"\n");
    assert_eq!(put(&["--if-revision", "1"], "c"), negative(&conflict));
    let absent = store.run_with(&["put", "-", "--if-revision", "1"], &document(2, "b"));
    assert_eq!(absent, negative(&format!("there is no flow {}\n", id(2))));
    let both = put(&["--if-revision", "1", "--new"], "c");
    assert_eq!((both.0, both.1.as_str()), (Some(2), ""));
    assert!(both.2.starts_with("error: the argument '--if-revision <NUMBER>' cannot be used with '--new'"));
}

pub(super) fn delete_with_a_missing_id_deletes_nothing(store: &Store) {
    store.fill(&["a", "b"]);
    let [a, b, c, d] = [1, 2, 3, 4].map(id);
    let missing = negative(&format!("there is no flow {c}\nthere is no flow {d}\nnothing was deleted\n"));
    assert_eq!(store.run(&["delete", &a, &c, &d, &b]), missing);
    assert_eq!(store.done(&["list", "--count"]), "2\n");
    let deleted = format!("deleted  {a}  revision 2\ndeleted  {b}  revision 2\n");
    assert_eq!(store.done(&["delete", &b, &a, &b]), deleted);
    assert_eq!(store.done(&["list", "--count"]), "0\n");
}

pub(super) fn suspicious_flows_are_stored_with_warnings(store: &Store) {
    let first = id(1);
    let text = format!(
        r#"{{"id":"{first}","name":"a","links":[{{"from":"x:src","to":"y:sink"}}],"properties":{{"ephemeral":true}}}}"#
    );
    let (code, stdout, stderr) = store.run_with(&["put", "-"], &text);
    assert_eq!((code, stdout), (Some(0), format!("created  {first}  revision 1\n")));
    let expected = "warning: `$.links[0].from`: no element or block has the id of this end, `x:src`\n\
                    warning: `$.links[0].to`: no element or block has the id of this end, `y:sink`\n\
                    warning: `$.properties.ephemeral`: the flow was stored permanently; only a server keeps ephemeral \
                    flows in memory\n";
    assert_eq!(stderr, expected);

    let refused = store.run_with(&["put", "-"], r#"{"id":"x","name":"a"}"#);
    assert_eq!((refused.0, refused.1.as_str()), (Some(2), ""));
    let expected = "error: stdin is not a valid flow: `$.id`: not a UUID\nnothing was stored; correct the input and \
                    try again\n";
    assert_eq!(refused.2, expected);
}

/// PostgreSQL reorders members (`jsonb`), so the test compares one member only.
pub(super) fn get_prints_numbers_exactly_as_stored(store: &Store) {
    let text = format!(r#"{{"id":"{}","name":"a","x":[18446744073709551616,1.10,9007199254740993]}}"#, id(1));
    assert_eq!(store.run_with(&["put", "-"], &text).0, Some(0));
    let expected = "  \"x\": [\n    18446744073709551616,\n    1.10,\n    9007199254740993\n  ]";
    let pretty = store.done(&["get", &id(1)]);
    assert!(pretty.contains(expected), "{pretty}");
}
