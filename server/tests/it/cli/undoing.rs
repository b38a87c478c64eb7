//! `strom undo-edit`.

use super::{Store, document, id};
use strom_test_support::json::file_of;

/// Returns a store with the flows a, b and c, in which an edit has changed a, deleted b and created d.
fn edited() -> Store {
    let store = Store::json();
    store.fill(&["a", "b", "c"]);
    edit(&store, &[&document(1, "edited"), &document(3, "c"), &document(4, "d")]);
    store
}

fn edit(store: &Store, flows: &[&str]) {
    std::fs::write(store.path("store/flows.json"), file_of(flows)).unwrap();
}

fn names(store: &Store) -> Vec<String> {
    let list: serde_json::Value = serde_json::from_str(&store.done(&["list", "--json"])).unwrap();
    list["flows"].as_array().unwrap().iter().map(|flow| flow["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn undo_edit_restores_the_flows_before_the_edit() {
    let store = edited();
    let (code, planned, _) = store.run(&["undo-edit", "--dry-run"]);
    let expected = format!("replace  {}  edited\ncreate  {}  b\ndelete  {}  d\n", id(1), id(2), id(4));
    assert_eq!((code, planned), (Some(0), expected));
    assert_eq!(names(&store), ["c", "d", "edited"], "a dry run changes nothing");
    let (code, done, message) = store.run(&["undo-edit"]);
    let expected =
        format!("replaced  {}  revision 3\ncreated  {}  revision 3\ndeleted  {}  revision 2\n", id(1), id(2), id(4));
    assert_eq!((code, done), (Some(0), expected), "{message}");
    assert!(message.starts_with("the last edit is of 2"), "{message}");
    assert_eq!(names(&store), ["a", "b", "c"]);
}

#[test]
fn undo_edit_does_not_change_flows_that_were_saved_later() {
    let store = edited();
    store.fill(&["saved"]);
    let (code, done, message) = store.run(&["undo-edit"]);
    assert_eq!((code, done.lines().count()), (Some(1), 2));
    assert!(message.contains(&format!("{} remains: it was changed after the edit\n", id(1))), "{message}");
    assert_eq!(names(&store), ["b", "c", "saved"]);
}

#[test]
fn undo_edit_undoes_the_deletion_of_every_flow_and_preserves_reports() {
    let store = Store::json();
    let playing = document(1, "a").replace('}', ",\"gst_state\":\"Playing\"}");
    assert_eq!(store.run_with(&["put", "-"], &playing).0, Some(0));
    edit(&store, &[]);
    let (_, _, warning) = store.run(&["list"]);
    assert!(warning.contains("deleted 1 of 1 flows") && warning.contains("strom undo-edit"), "{warning}");
    assert_eq!(store.run(&["undo-edit"]).0, Some(0));
    assert!(store.done(&["get", &id(1)]).contains("Playing"));
}

#[test]
fn undo_edit_without_an_edit_changes_nothing() {
    let store = Store::json();
    let message = "the retained changes contain no edit of the file\n".to_owned();
    // The flows of a file from which the store was created are not an edit.
    store.file("store/flows.json", &file_of(&[&document(1, "a")]));
    assert_eq!(store.run(&["undo-edit"]), (Some(1), String::new(), message.clone()));
    store.fill(&["b"]);
    assert_eq!(store.run(&["undo-edit"]), (Some(1), String::new(), message));
    assert_eq!(names(&store), ["b"]);
}
