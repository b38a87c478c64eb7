use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::MergeError;
use crate::flow::difference::tests::document;
use crate::flow::{Flow, MAX_LISTED, Runtime};

fn flow(members: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id":"6f1d3c5e-0000-4000-8000-000000000001",{members}}}"#)).unwrap()
}

fn kept(flow: &Flow) -> String {
    flow.canonical(Runtime::Include).unwrap()
}

fn content(flow: &Flow) -> String {
    flow.canonical(Runtime::Exclude).unwrap()
}

/// The conflicts in words.
fn conflicts(base: &str, yours: &str, theirs: &str) -> Vec<String> {
    match flow(yours).merged(&flow(base), &flow(theirs)) {
        Err(MergeError::Conflicts(conflicts, 0)) => conflicts.into_iter().map(|conflict| conflict.words).collect(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_merged(base: &str, yours: &str, theirs: &str, merged: &str) {
    assert_eq!(kept(&flow(yours).merged(&flow(base), &flow(theirs)).unwrap()), kept(&flow(merged)));
}

#[test]
fn what_only_one_side_changed_is_taken() {
    assert_merged(
        r#""name":"a","x":{"p":1,"q":2},"gone":1,"n":18446744073709551617"#,
        r#""name":"a","x":{"p":1.5,"q":2},"n":18446744073709551617,"mine":1"#,
        r#""name":"b","x":{"p":1,"r":3},"gone":1,"n":18446744073709551618"#,
        r#""name":"b","x":{"p":1.5,"r":3},"n":18446744073709551618,"mine":1"#,
    );
    // The same change on both sides, in another spelling.
    assert_merged(r#""name":"a","x":1"#, r#""name":"a","x":2.0"#, r#""name":"a","x":2"#, r#""name":"a","x":2"#);
    // Properties that neither had before.
    assert_merged(
        r#""name":"a""#,
        r#""name":"a","properties":{"x":1}"#,
        r#""name":"a","properties":{"y":2}"#,
        r#""name":"a","properties":{"x":1,"y":2}"#,
    );
}

#[test]
fn nodes_and_links_are_merged_by_what_they_are_called() {
    assert_merged(
        r#""name":"a","elements":[{"id":"a","x":1},{"id":"b","position":[1,2]},{"id":"c"}],
            "links":[{"from":"a","to":"b"},{"from":"b","to":"c"}]"#,
        // Puts one before the others, moves one, takes a link.
        r#""name":"a","elements":[{"id":"m"},{"id":"a","x":1},{"id":"b","position":[3,4]},{"id":"c"}],
            "links":[{"from":"b","to":"c"},{"from":"m","to":"a"}]"#,
        // Takes one with its link, edits the others, adds one.
        r#""name":"a","elements":[{"id":"a","x":2},{"id":"b","position":[1,2],"y":1},{"id":"t"}],
            "links":[{"from":"a","to":"b"},{"from":"t","to":"a"}]"#,
        r#""name":"a","elements":[{"id":"a","x":2},{"id":"b","position":[3,4],"y":1},{"id":"t"},{"id":"m"}],
            "links":[{"from":"t","to":"a"},{"from":"m","to":"a"}]"#,
    );
    // An order that only one of them changed is kept, and what the other added comes behind.
    assert_merged(
        r#""name":"a","elements":[{"id":"a"},{"id":"b"}]"#,
        r#""name":"a","elements":[{"id":"b"},{"id":"a"}]"#,
        r#""name":"a","elements":[{"id":"t"},{"id":"a"},{"id":"b"}]"#,
        r#""name":"a","elements":[{"id":"b"},{"id":"a"},{"id":"t"}]"#,
    );
}

#[test]
fn what_both_changed_differently_is_a_conflict() {
    let nodes = |a: &str| format!(r#""name":"a","elements":[{a}{{"id":"z"}}]"#);
    for (base, yours, theirs, words) in [
        ("\"a\"", "\"b\"", "\"c\"", r#"`name` was "a", is "b" in yours and "c" in theirs"#),
        (
            "\"a\",\"passphrase\":\"a\"",
            "\"a\",\"passphrase\":\"b\"",
            "\"a\",\"passphrase\":\"c\"",
            "`passphrase` was changed by both, in a part that is not shown here",
        ),
        ("\"a\"", "\"a\",\"x\":1", "\"a\",\"x\":2", "`x` was added by both, as 1 in yours and 2 in theirs"),
        ("\"a\",\"x\":1", "\"a\"", "\"a\",\"x\":2", "`x` was removed in yours and changed in theirs"),
        ("\"a\",\"x\":1", "\"a\",\"x\":{}", "\"a\"", "`x` was changed in yours and removed in theirs"),
        ("\"a\",\"x\":[1]", "\"a\",\"x\":[2]", "\"a\",\"x\":[1,3]", "`x` was [1], is [2] in yours and [1,3] in theirs"),
    ] {
        let name = |text: &str| format!(r#""name":{text}"#);
        assert_eq!(conflicts(&name(base), &name(yours), &name(theirs)), [words]);
    }
    for (base, yours, theirs, words) in [
        (
            r#"{"id":"a","position":[1,2]},"#,
            r#"{"id":"a","position":[1,3]},"#,
            r#"{"id":"a","position":[3,2]},"#,
            "element `a`: `position` was [1,2], is [1,3] in yours and [3,2] in theirs",
        ),
        (r#"{"id":"a"},"#, "", r#"{"id":"a","x":1},"#, "element `a` was removed in yours and changed in theirs"),
        (r#"{"id":"a"},"#, r#"{"id":"a","x":1},"#, "", "element `a` was changed in yours and removed in theirs"),
        (
            "",
            r#"{"id":"a","x":1},"#,
            r#"{"id":"a","y":1},"#,
            r#"element `a` was added by both, as {"id":"a","x":1} in yours and {"id":"a","y":1} in theirs"#,
        ),
    ] {
        assert_eq!(conflicts(&nodes(base), &nodes(yours), &nodes(theirs)), [words]);
    }
    let order = conflicts(
        &nodes(r#"{"id":"x"},{"id":"y"},"#),
        &nodes(r#"{"id":"y"},{"id":"x"},"#),
        r#""name":"a","elements":[{"id":"x"},{"id":"z"},{"id":"y"}]"#,
    );
    assert_eq!(order, ["`elements` were reordered differently by both"]);
    let lists = conflicts(
        r#""name":"a","links":[7]"#,
        r#""name":"a","links":[7,8]"#,
        r#""name":"a","links":[{"from":"a","to":"b"}]"#,
    );
    assert_eq!(lists, [r#"`links` was [7], is [7,8] in yours and [{"from":"a","to":"b"}] in theirs"#]);
}

#[test]
fn a_merge_leaves_no_link_without_its_end() {
    let with = |nodes: &str, links: &str| format!(r#""name":"a","elements":[{nodes}],"links":[{links}]"#);
    let (both, one) = (r#"{"id":"a"},{"id":"b"}"#, r#"{"id":"a"}"#);
    let link = r#"{"from":"a:src","to":"b:sink"}"#;
    let words = "link `a:src` to `b:sink` is in yours, but its end \"b:sink\" was removed in theirs";
    assert_eq!(conflicts(&with(both, ""), &with(both, link), &with(one, "")), [words]);
    let words = "link `a:src` to `b:sink` is in theirs, but its end \"b:sink\" was removed in yours";
    assert_eq!(conflicts(&with(both, ""), &with(one, ""), &with(both, link)), [words]);
    // The editor removed the end deliberately.
    assert_merged(&with(both, link), &with(both, link), &with(one, link), &with(one, link));
    assert_merged(&with(both, link), &with(one, link), &with(both, link), &with(one, link));

    let words = "block `x` has the same id as an element of the other side";
    let element = r#""name":"a","elements":[{"id":"x"}],"blocks":[]"#;
    let block = r#""name":"a","elements":[],"blocks":[{"id":"x"}]"#;
    assert_eq!(conflicts(r#""name":"a","elements":[],"blocks":[]"#, element, block), [words]);
}

#[test]
fn reports_come_from_the_current_document() {
    assert_merged(
        r#""name":"a","running":true,"blocks":[{"id":"b","runtime_data":1}],"properties":{"started_at":"1","x":1}"#,
        r#""name":"b","gst_state":"Null","running":false,"blocks":[{"id":"n","runtime_data":7},{"id":"b","x":1}]"#,
        r#""name":"a","running":true,"gst_state":"Playing","blocks":[{"id":"b","runtime_data":2}],
            "properties":{"x":1,"started_at":"2"}"#,
        r#""name":"b","running":true,"gst_state":"Playing",
            "blocks":[{"id":"n","runtime_data":7},{"id":"b","x":1,"runtime_data":2}],"properties":{"started_at":"2"}"#,
    );
}

#[test]
fn conflicts_have_their_values_and_are_cut() {
    let many = |value| (0..MAX_LISTED + 3).map(|n| format!(r#","m{n}":{value}"#)).collect::<String>();
    let [base, yours, theirs] = [1, 2, 3].map(|value| flow(&format!(r#""name":"a"{}"#, many(value))));
    let Err(MergeError::Conflicts(conflicts, more)) = yours.merged(&base, &theirs) else { panic!() };
    assert_eq!((conflicts.len(), more), (MAX_LISTED, 3));
    let words = "`m0` was 1, is 2 in yours and 3 in theirs";
    let expected = json!({ "path": "$.m0", "words": words, "base": "1", "yours": "2", "theirs": "3" });
    assert_eq!(serde_json::to_value(&conflicts[0]).unwrap(), expected);
    assert_eq!(MergeError::Conflicts(conflicts, more).to_string(), format!("{words} (and 102 more)"));
}

/// Every value of a document by its place, items of these lists by their keys. Written without the code that it judges.
fn places(flow: &Flow, keyed: &BTreeSet<String>) -> BTreeMap<String, String> {
    fn walk(place: &str, value: &Value, keyed: &BTreeSet<String>, found: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(members) if !(place.contains('[') && place.ends_with("].position")) => {
                found.insert(place.to_owned(), "an object".to_owned());
                for (name, value) in members {
                    walk(&format!("{place}.{name}"), value, keyed, found);
                }
            }
            Value::Array(items) if keyed.contains(place) => {
                found.insert(place.to_owned(), "a list".to_owned());
                for item in items {
                    walk(&format!("{place}[{}]", key(item).unwrap()), item, keyed, found);
                }
            }
            other => drop(found.insert(place.to_owned(), other.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    walk("", &serde_json::from_str(&content(flow)).unwrap(), keyed, &mut found);
    found
}

fn key(item: &Value) -> Option<String> {
    let text = |name: &str| item.get(name)?.as_str();
    text("id").map(str::to_owned).or_else(|| Some(format!("{}>{}", text("from")?, text("to")?)))
}

/// The lists whose items have keys of their own in all documents.
fn keyed(flows: &[&Flow]) -> BTreeSet<String> {
    let is_keyed = |list: &&'static str| {
        flows.iter().all(|flow| {
            let document: Value = serde_json::from_str(flow.document().get()).unwrap();
            let Some(items) = document[*list].as_array() else { return false };
            let keys: BTreeSet<_> = items.iter().filter_map(key).collect();
            keys.len() == items.len()
        })
    };
    ["elements", "blocks", "links"].into_iter().filter(is_keyed).map(|list| format!(".{list}")).collect()
}

/// A document and what two sides made of it; often the same, often of one part alone.
fn edits() -> impl Strategy<Value = [Flow; 3]> {
    let picks = prop::collection::vec(0..4_u8, 12);
    ([document(), document(), document()], picks).prop_map(|([base, yours, theirs], picks)| {
        // Members of the sides are put back to what they were, so that it is not all conflicts.
        let parsed = |flow: &Flow| serde_json::from_str::<BTreeMap<String, Value>>(flow.document().get()).unwrap();
        let (base_members, mut your_members, mut their_members) = (parsed(&base), parsed(&yours), parsed(&theirs));
        let names: BTreeSet<_> =
            [&base_members, &your_members, &their_members].iter().flat_map(|side| side.keys().cloned()).collect();
        for (name, pick) in names.into_iter().zip(picks) {
            for (side, resets) in [(&mut your_members, [1, 3]), (&mut their_members, [2, 3])] {
                if resets.contains(&pick) {
                    match base_members.get(&name) {
                        Some(value) => drop(side.insert(name.clone(), value.clone())),
                        None => drop(side.remove(&name)),
                    }
                }
            }
        }
        let flow = |members| Flow::parse(&serde_json::to_string(&members).unwrap()).unwrap();
        [base, flow(your_members), flow(their_members)]
    })
}

proptest! {
    #[test]
    fn one_edit_is_taken_as_it_is([base, edit, _] in edits()) {
        prop_assert_eq!(content(&edit.merged(&base, &base).unwrap()), content(&edit));
        prop_assert_eq!(kept(&base.merged(&base, &edit).unwrap()), kept(&edit));
        prop_assert_eq!(kept(&edit.merged(&base, &edit).unwrap()), kept(&edit));
    }

    #[test]
    fn no_edit_is_lost([base, yours, theirs] in edits()) {
        let Ok(merged) = yours.merged(&base, &theirs) else { return Ok(()) };
        let lists = keyed(&[&base, &yours, &theirs]);
        let [b, y, t, m] = [&base, &yours, &theirs, &merged].map(|flow| places(flow, &lists));
        let all: BTreeSet<_> = [&b, &y, &t, &m].into_iter().flat_map(BTreeMap::keys).collect();
        for place in all {
            let [b, y, t, m] = [&b, &y, &t, &m].map(|places| places.get(place));
            prop_assert!(y == t || b == y || b == t, "both changed {}", place);
            prop_assert_eq!(m, if b == y { t } else { y }, "{}", place);
        }
    }

    #[test]
    fn it_does_not_matter_who_was_first([base, yours, theirs] in edits()) {
        let lists = keyed(&[&base, &yours, &theirs]);
        match (yours.merged(&base, &theirs), theirs.merged(&base, &yours)) {
            (Ok(one), Ok(other)) => prop_assert_eq!(places(&one, &lists), places(&other, &lists)),
            (Err(MergeError::Conflicts(one, _)), Err(MergeError::Conflicts(other, _))) => {
                prop_assert_eq!(one.len(), other.len());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// Each edit is of a part of its own, so any of them go together with any others.
    #[test]
    fn edits_of_different_parts_are_never_in_conflict(sides in prop::collection::vec(0..3_u8, EDITS.len())) {
        let base: Value = serde_json::from_str(BASE).unwrap();
        let edited = |takes: &dyn Fn(u8) -> bool| {
            let mut flow = base.clone();
            for ((_, edit), _) in EDITS.iter().zip(&sides).filter(|(_, side)| takes(**side)) {
                edit(&mut flow);
            }
            Flow::parse(&flow.to_string()).unwrap()
        };
        let (yours, theirs, both) = (edited(&|side| side == 1), edited(&|side| side == 2), edited(&|side| side > 0));
        let merged = yours.merged(&Flow::parse(BASE).unwrap(), &theirs).unwrap();
        let lists = keyed(&[&merged, &both]);
        prop_assert_eq!(lists.len(), 3);
        prop_assert_eq!(places(&merged, &lists), places(&both, &lists));
    }
}

const BASE: &str = r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a",
    "elements":[{"id":"in","position":[0,0]},{"id":"mix","properties":{"gain":1},"position":[1,0]},{"id":"spare"}],
    "blocks":[{"id":"out","properties":{"uri":"x"},"position":{"x":1,"y":1}}],
    "links":[{"from":"in:src","to":"mix:sink"},{"from":"mix:src","to":"out:in"}],
    "properties":{"description":"d","clock_type":"ptp"}}"#;

type Edit = fn(&mut Value);

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

fn retain(list: &mut Value, keep: fn(&Value) -> bool) {
    list.as_array_mut().unwrap().retain(keep);
}

fn node<'v>(list: &'v mut Value, id: &str) -> &'v mut Value {
    list.as_array_mut().unwrap().iter_mut().find(|item| item["id"] == id).unwrap()
}

const EDITS: &[(&str, Edit)] = &[
    ("rename", |flow| flow["name"] = json!("b")),
    ("describe", |flow| flow["properties"]["description"] = json!("e")),
    ("take a property", |flow| drop(flow["properties"].as_object_mut().unwrap().remove("clock_type"))),
    ("add a property", |flow| flow["properties"]["auto_restart"] = json!(true)),
    ("turn", |flow| node(&mut flow["elements"], "mix")["properties"]["gain"] = json!(2)),
    ("add to a node", |flow| node(&mut flow["elements"], "mix")["properties"]["pan"] = json!(0.5)),
    ("move", |flow| node(&mut flow["elements"], "mix")["position"] = json!([5, 5])),
    ("move another", |flow| node(&mut flow["elements"], "in")["position"] = json!([6, 6])),
    ("move a block", |flow| node(&mut flow["blocks"], "out")["position"]["x"] = json!(9)),
    ("add an element", |flow| push(&mut flow["elements"], json!({ "id": "new" }))),
    ("put one before the others", |flow| {
        flow["elements"].as_array_mut().unwrap().insert(0, json!({ "id": "first" }));
    }),
    ("take an element", |flow| retain(&mut flow["elements"], |item| item["id"] != "spare")),
    ("add a block", |flow| push(&mut flow["blocks"], json!({ "id": "more" }))),
    ("add a link", |flow| push(&mut flow["links"], json!({ "from": "in:src2", "to": "mix:sink2" }))),
    ("take a link", |flow| retain(&mut flow["links"], |item| item["to"] != "out:in")),
    ("extend", |flow| flow["unknown"] = json!({ "x": [1, 2] })),
];
