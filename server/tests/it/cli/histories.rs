//! `strom history`, `restore` and `diff`.

use serde_json::{Value, json};

use super::{Store, id, timeless};

/// Stores a flow with two revisions and deletes it, which is revision 3.
fn fill(store: &Store) {
    store.fill(&["a"]);
    store.fill(&["b"]);
    store.done(&["delete", &id(1)]);
}

const HEADER: &str = "REVISION  CHANGE   AT                       BYTES  NODES  AUTHOR      NAME\n";

pub(super) fn history_lists_revisions_newest_first(store: &Store) {
    let nothing = (Some(1), String::new(), format!("there is no flow {}, and it has no history\n", id(1)));
    store.fill(&["x", "y"]);
    store.done(&["delete", &id(2)]);
    let unknown = id(7);
    assert_eq!(store.run(&["history", &unknown]), (nothing.0, nothing.1, nothing.2.replace(&id(1), &unknown)));

    store.fill(&["a"]);
    store.done(&["delete", &id(1)]);
    let row = |revision, operation: &str, name: &str| {
        format!("{revision:>8}  {operation:7}  …        59      0  cli         {name}\n")
    };
    let rows = [row(3, "delete", "a"), row(2, "update", "a"), row(1, "create", "x")];
    let all = store.done(&["history", &id(1)]);
    assert_eq!(timeless(&all), HEADER.to_owned() + &rows.concat());
    let two = store.done(&["history", &id(1), "--limit", "1", "--before", "3"]);
    assert_eq!(timeless(&two), HEADER.to_owned() + &rows[1]);
    assert_eq!(store.done(&["history", &id(1), "--before", "1"]), HEADER);

    let history: Value = serde_json::from_str(&store.done(&["history", &id(1), "--json"])).unwrap();
    assert_eq!(history["history"].as_array().unwrap().len(), 3);
    let at = &history["history"][2]["at"];
    let summary = json!({
        "name": "x", "state": "Null", "auto_restart": false, "elements": 0, "blocks": 0, "links": 0,
    });
    let first = json!({ "revision": 1, "op": "create", "at": at, "author": "cli", "size": 59, "summary": summary });
    assert_eq!(history["history"][2], first);
}

pub(super) fn restore_stores_an_older_revision_as_a_new_one(store: &Store) {
    fill(store);
    let first = id(1);
    let restore = |revision: &str| store.run(&["restore", &first, "--revision", revision]);
    let done = |line: &str| (Some(0), format!("{line}\n"), String::new());
    assert_eq!(restore("1"), done(&format!("created  {first}  revision 4, as it was at 1")));
    assert_eq!(restore("2"), done(&format!("replaced  {first}  revision 5, as it was at 2")));
    assert_eq!(restore("2"), done(&format!("unchanged  {first}  revision 5")));
    assert!(store.done(&["get", &first]).contains("\"b\""));
    let missing = format!("the flow {first} has no revision 9, or it is no longer retained\n");
    assert_eq!(restore("9"), (Some(1), String::new(), missing));
}

pub(super) fn trash_lists_deleted_flows_until_they_are_restored(store: &Store) {
    let header = "ID                                    REVISION  DELETED               AUTHOR      NAME\n";
    store.fill(&["a", "b"]);
    assert_eq!(store.done(&["trash"]), header);
    store.done(&["delete", &id(2)]);
    let row = format!("{}         2  …  cli         b\n", id(2));
    assert_eq!(timeless(&store.done(&["trash"])), format!("{header}{row}"));
    let trash: Value = serde_json::from_str(&store.done(&["trash", "--json"])).unwrap();
    let deleted_at = &trash["flows"][0]["deleted_at"];
    let expected = json!({
        "id": id(2), "revision": 2, "deleted_at": deleted_at, "author": "cli", "size": 59, "name": "b", "state": "Null",
        "auto_restart": false, "elements": 0, "blocks": 0, "links": 0,
    });
    assert_eq!(trash, json!({ "flows": [expected] }), "the members match the API");
    store.done(&["restore", &id(2), "--revision", "2"]);
    assert!(store.done(&["get", &id(2)]).contains("\"b\""));
    assert_eq!(store.done(&["trash"]), header);
}

pub(super) fn diff_prints_readable_changes(store: &Store) {
    let element = |gain: u32, position: &str| {
        format!(
            r#"{{"id":"{}","name":"a","running":true,"elements":[{{"id":"mix","element_type":"audiomixer",
                "properties":{{"gain":{gain}}},"position":{position}}}]}}"#,
            id(1)
        )
    };
    store.run_with(&["put", "-"], &element(1, "[1,2]"));
    let single_revision = (Some(1), String::new(), format!("the only retained revision of the flow {} is 1\n", id(1)));
    assert_eq!(store.run(&["diff", &id(1)]), single_revision);
    store.run_with(&["put", "-"], &element(2, "[1,2]"));
    store.run_with(&["put", "-"], &element(2, "[3,4]"));
    let gain = "element `mix` (audiomixer): `properties.gain` was changed from 1 to 2\n";
    let moved = "element `mix` (audiomixer) was moved from [1,2] to [3,4]\n";
    let diff = |revisions: &[&str]| store.done(&[&["diff", &id(1)], revisions].concat());
    assert_eq!(diff(&[]), moved);
    // PostgreSQL does not preserve the order of members, so the order of changes may differ.
    let mut since: Vec<_> = diff(&["1"]).lines().map(|line| format!("{line}\n")).collect();
    since.sort_unstable_by_key(|line| line.contains("was moved"));
    assert_eq!(since, [gain, moved]);
    assert_eq!(diff(&["1", "2"]), gain);
    let compared: Value = serde_json::from_str(&diff(&["1", "2", "--json"])).unwrap();
    let change = json!({ "path": "$.elements[0].properties.gain", "kind": "changed", "words": gain.trim_end() });
    assert_eq!(compared, json!({ "from": 1, "to": 2, "changes": [change], "more": 0 }));
    let same = store.run(&["diff", &id(1), "2", "2"]);
    let identical = "revisions 2 and 2 differ in no member except runtime members\n".to_owned();
    assert_eq!(same, (Some(0), String::new(), identical));
    let missing = format!("the flow {} has no revision 9, or it is no longer retained\n", id(1));
    assert_eq!(store.run(&["diff", &id(1), "1", "9"]), (Some(1), String::new(), missing));
    let unknown = format!("there is no flow {}, and it has no history\n", id(2));
    assert_eq!(store.run(&["diff", &id(2)]), (Some(1), String::new(), unknown));
}
