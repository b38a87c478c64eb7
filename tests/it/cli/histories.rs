//! `strom history`, `restore` and `diff`.

use serde_json::{Value, json};

use super::{Store, id, timeless};

/// Three revisions, the last of which deletes it.
fn fill(store: &Store) {
    store.fill(&["a"]);
    store.fill(&["b"]);
    store.done(&["delete", &id(1)]);
}

const TITLES: &str = "REVISION  CHANGE   AT                       BYTES  NODES  AUTHOR      NAME\n";

pub(super) fn revisions_are_shown_newest_first(store: &Store) {
    let nothing = (Some(1), String::new(), format!("there is no flow {}, and nothing is kept of one\n", id(1)));
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
    assert_eq!(timeless(&all), TITLES.to_owned() + &rows.concat());
    let two = store.done(&["history", &id(1), "--limit", "1", "--before", "3"]);
    assert_eq!(timeless(&two), TITLES.to_owned() + &rows[1]);
    assert_eq!(store.done(&["history", &id(1), "--before", "1"]), TITLES);

    let history: Value = serde_json::from_str(&store.done(&["history", &id(1), "--json"])).unwrap();
    assert_eq!(history["history"].as_array().unwrap().len(), 3);
    let at = &history["history"][2]["at"];
    let summary = json!({
        "name": "x", "state": "Null", "auto_restart": false, "elements": 0, "blocks": 0, "links": 0,
    });
    let first = json!({ "revision": 1, "op": "create", "at": at, "author": "cli", "size": 59, "summary": summary });
    assert_eq!(history["history"][2], first);
}

pub(super) fn a_flow_becomes_what_it_was(store: &Store) {
    fill(store);
    let first = id(1);
    let restore = |revision: &str| store.run(&["restore", &first, "--revision", revision]);
    let done = |line: &str| (Some(0), format!("{line}\n"), String::new());
    assert_eq!(restore("1"), done(&format!("created  {first}  revision 4, as it was at 1")));
    assert_eq!(restore("2"), done(&format!("replaced  {first}  revision 5, as it was at 2")));
    assert_eq!(restore("2"), done(&format!("unchanged  {first}  revision 5")));
    assert!(store.done(&["get", &first]).contains("\"b\""));
    let none = format!("the flow {first} has no revision 9, or it is no longer kept\n");
    assert_eq!(restore("9"), (Some(1), String::new(), none));
}

pub(super) fn deleted_flows_are_found_and_brought_back(store: &Store) {
    let titles = "ID                                    REVISION  DELETED               AUTHOR      NAME\n";
    store.fill(&["a", "b"]);
    assert_eq!(store.done(&["trash"]), titles);
    store.done(&["delete", &id(2)]);
    let row = format!("{}         2  …  cli         b\n", id(2));
    assert_eq!(timeless(&store.done(&["trash"])), format!("{titles}{row}"));
    let trash: Value = serde_json::from_str(&store.done(&["trash", "--json"])).unwrap();
    let deleted_at = &trash["flows"][0]["deleted_at"];
    let expected = json!({
        "id": id(2), "revision": 2, "deleted_at": deleted_at, "author": "cli", "size": 59, "name": "b", "state": "Null",
        "auto_restart": false, "elements": 0, "blocks": 0, "links": 0,
    });
    assert_eq!(trash, json!({ "flows": [expected] }), "as of the API");
    store.done(&["restore", &id(2), "--revision", "2"]);
    assert!(store.done(&["get", &id(2)]).contains("\"b\""));
    assert_eq!(store.done(&["trash"]), titles);
}

pub(super) fn differences_are_told_in_words(store: &Store) {
    let element = |gain: u32, position: &str| {
        format!(
            r#"{{"id":"{}","name":"a","running":true,"elements":[{{"id":"mix","element_type":"audiomixer",
                "properties":{{"gain":{gain}}},"position":{position}}}]}}"#,
            id(1)
        )
    };
    store.run_with(&["put", "-"], &element(1, "[1,2]"));
    let only = (Some(1), String::new(), format!("of the flow {} only revision 1 is kept\n", id(1)));
    assert_eq!(store.run(&["diff", &id(1)]), only);
    store.run_with(&["put", "-"], &element(2, "[1,2]"));
    store.run_with(&["put", "-"], &element(2, "[3,4]"));
    let gain = "element `mix` (audiomixer): `properties.gain` was changed from 1 to 2\n";
    let moved = "element `mix` (audiomixer) was moved from [1,2] to [3,4]\n";
    let diff = |revisions: &[&str]| store.done(&[&["diff", &id(1)], revisions].concat());
    assert_eq!(diff(&[]), moved);
    // In the order of the members, which PostgreSQL does not keep.
    let mut since: Vec<_> = diff(&["1"]).lines().map(|line| format!("{line}\n")).collect();
    since.sort_unstable_by_key(|line| line.contains("was moved"));
    assert_eq!(since, [gain, moved]);
    assert_eq!(diff(&["1", "2"]), gain);
    let compared: Value = serde_json::from_str(&diff(&["1", "2", "--json"])).unwrap();
    let change = json!({ "path": "$.elements[0].properties.gain", "kind": "changed", "words": gain.trim_end() });
    assert_eq!(compared, json!({ "from": 1, "to": 2, "changes": [change], "more": 0 }));
    let same = store.run(&["diff", &id(1), "2", "2"]);
    let told = "revision 2 and 2 do not differ in what people wrote\n".to_owned();
    assert_eq!(same, (Some(0), String::new(), told));
    let none = format!("the flow {} has no revision 9, or it is no longer kept\n", id(1));
    assert_eq!(store.run(&["diff", &id(1), "1", "9"]), (Some(1), String::new(), none));
    let unknown = format!("there is no flow {}, and nothing is kept of one\n", id(2));
    assert_eq!(store.run(&["diff", &id(2)]), (Some(1), String::new(), unknown));
}
