use proptest::prelude::*;

use super::{ChangeKind, Difference, MAX_LISTED};
use crate::flow::{Flow, Runtime};

fn flow(members: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id":"6f1d3c5e-0000-4000-8000-000000000001",{members}}}"#)).unwrap()
}

/// Path, kind and words of each change.
fn shown(difference: &Difference) -> Vec<String> {
    let changes = difference.changes.iter();
    changes.map(|change| format!("{} {}: {}", change.path, change.kind.as_str(), change.words)).collect()
}

fn between(old: &str, new: &str) -> Vec<String> {
    shown(&flow(old).difference(&flow(new)).unwrap())
}

#[test]
fn members_are_told_by_path() {
    let old = r#""name":"a","x":{"a b":1,"gone":[1,2]},"n":18446744073709551617"#;
    let new = r#""name":"b","x":{"a b":2},"n":18446744073709551618,"new":true"#;
    let expected = [
        r#"$.name changed: `name` was changed from "a" to "b""#,
        "$.x['a b'] changed: `x['a b']` was changed from 1 to 2",
        "$.x.gone removed: `x.gone` was removed; it was [1,2]",
        "$.n changed: `n` was changed from 18446744073709551617 to 18446744073709551618",
        "$.new added: `new` was added: true",
    ];
    assert_eq!(between(old, new), expected);
}

#[test]
fn nodes_are_matched_by_id_and_links_by_their_ends() {
    let old = r#""name":"a","elements":[{"id":"in","element_type":"srtsrc"},{"id":"mix","position":[1,2]}],
        "blocks":[{"id":"b","block_definition_id":"builtin.mixer","position":{"x":1,"y":2},"name":"n"}],
        "links":[{"from":"in:src","to":"mix"},{"id":"l","from":"a","to":"b"}]"#;
    let new = r#""name":"a","elements":[{"id":"new"},{"id":"mix","position":[1.0,3.5]},{"id":"placed"}],
        "blocks":[{"id":"b","block_definition_id":"builtin.mixer","position":{"y":2,"x":0},"name":"m"}],
        "links":[{"id":"l","from":"a","to":"c"},{"from":"mix","to":"b"}]"#;
    let expected = [
        "$.elements[0] removed: element `in` (srtsrc) was removed",
        "$.elements[0] added: element `new` was added",
        "$.elements[1].position moved: element `mix` was moved from [1,2] to [1.0,3.5]",
        "$.elements[2] added: element `placed` was added",
        r#"$.blocks[0].position moved: block `b` (builtin.mixer) was moved from {"x":1,"y":2} to {"y":2,"x":0}"#,
        r#"$.blocks[0].name changed: block `b` (builtin.mixer): `name` was changed from "n" to "m""#,
        "$.links[0] removed: link `in:src` to `mix` was removed",
        r#"$.links[0].to changed: link `a` to `c`: `to` was changed from "b" to "c""#,
        "$.links[1] added: link `mix` to `b` was added",
    ];
    assert_eq!(between(old, new), expected);
    let positions = |position| format!(r#""name":"a","elements":[{{"id":"mix"{position}}}]"#);
    let placed = between(&positions(""), &positions(r#","position":[1,2]"#));
    assert_eq!(placed, ["$.elements[0].position moved: element `mix` was placed at [1,2]"]);
}

#[test]
fn lists_without_keys_are_compared_as_a_whole() {
    let twice = r#""name":"a","elements":[{"id":"x"},{"id":"x"}]"#;
    let expected = r#"$.elements changed: `elements` was changed from [{"id":"x"},{"id":"x"}] to [{"id":"x"}]"#;
    assert_eq!(between(twice, r#""name":"a","elements":[{"id":"x"}]"#), [expected]);
    assert_eq!(between(twice, r#""name":"a""#).len(), 1);
    let order = between(
        r#""name":"a","elements":[{"id":"x"},{"id":"y"},{"id":"z"}]"#,
        r#""name":"a","elements":[{"id":"y"},{"id":"x"}]"#,
    );
    let expected = ["$.elements[2] removed: element `z` was removed", "$.elements changed: `elements` were reordered"];
    assert_eq!(order, expected);
    assert_eq!(between(r#""name":"a""#, r#""name":"a","links":[]"#), ["$.links added: `links` was added: []"]);
    let added = between(r#""name":"a""#, r#""name":"a","links":[{"from":"a","to":"b"}]"#);
    assert_eq!(added, ["$.links[0] added: link `a` to `b` was added"]);
}

#[test]
fn reports_and_spellings_are_no_change() {
    let old = r#""name":"a","n":1.10,"blocks":[{"id":"b","x":1,"runtime_data":1}]"#;
    let new = r#""running":true,"blocks":[{"x":1e0,"id":"b"}],"n":1.1,"name":"\u0061","properties":{"started_at":"t"}"#;
    assert_eq!(flow(old).difference(&flow(new)).unwrap(), Difference::default());
}

#[test]
fn secrets_are_not_told_and_long_lists_are_cut() {
    let old = r#""name":"a","properties":{"passphrase":"one","uri":"srt://h?passphrase=one"}"#;
    let new = r#""name":"a","properties":{"passphrase":"two","uri":"srt://i?passphrase=one"}"#;
    let expected = [
        "$.properties.passphrase changed: `properties.passphrase` was changed in a part that is not shown here",
        r#"$.properties.uri changed: `properties.uri` was changed from "srt://h?passphrase=REDACTED" to "srt://i?passphrase=REDACTED""#,
    ];
    assert_eq!(between(old, new), expected);
    let many: Vec<_> = (0..MAX_LISTED + 5).map(|number| format!(r#""m{number}":1"#)).collect();
    let found = flow(r#""name":"a""#).difference(&flow(&format!(r#""name":"a",{}"#, many.join(",")))).unwrap();
    assert_eq!((found.changes.len(), found.more), (MAX_LISTED, 5));
    let json = serde_json::to_value(&found.changes[0]).unwrap();
    assert_eq!(json, serde_json::json!({ "path": "$.m0", "kind": "added", "words": "`m0` was added: 1" }));
}

/// A document of few members and values, so that two of them meet; some lists have no keys.
pub(in crate::flow) fn document() -> impl Strategy<Value = Flow> {
    let value = prop::sample::select(vec!["1", "1.0", "2", "null", "[]", "{}", r#"{"p":1}"#, r#"{"p":2,"q":[1]}"#]);
    let member = |names: &'static [&'static str]| {
        prop::collection::btree_map(prop::sample::select(names), value.clone(), 0..4)
            .prop_map(|members| members.iter().map(|(name, value)| format!(r#","{name}":{value}"#)).collect::<String>())
    };
    let node =
        (prop::sample::select(vec!["a", "b", "c", "d"]), member(&["position", "properties", "runtime_data", "x"]));
    let node = node.prop_map(|(id, members)| format!(r#"{{"id":"{id}"{members}}}"#));
    let link = (prop::sample::select(vec!["a", "b:p"]), prop::sample::select(vec!["c", "d"]), member(&["x"]));
    let link = link.prop_map(|(from, to, members)| format!(r#"{{"from":"{from}","to":"{to}"{members}}}"#));
    let list = |item: BoxedStrategy<String>| {
        prop_oneof![
            1 => Just(String::from("7")),
            12 => prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    };
    let lists = (list(node.clone().boxed()), list(node.boxed()), list(link.boxed()));
    let properties = prop_oneof![
        Just(String::new()),
        member(&["x", "y", "started_at"]).prop_map(|members| format!(r#","properties":{{"z":1{members}}}"#)),
    ];
    let names = prop::sample::select(vec!["a", "b"]);
    (names, member(&["running", "x", "y", "z"]), lists, properties).prop_map(|(name, members, lists, properties)| {
        let (elements, blocks, links) = lists;
        flow(&format!(
            r#""name":"{name}"{members},"elements":{elements},"blocks":{blocks},"links":{links}{properties}"#
        ))
    })
}

proptest! {
    #[test]
    fn there_is_a_difference_exactly_where_people_wrote_another_document(old in document(), new in document()) {
        let is_same = old.hash(Runtime::Exclude).unwrap() == new.hash(Runtime::Exclude).unwrap();
        let (there, back) = (old.difference(&new).unwrap(), new.difference(&old).unwrap());
        prop_assert_eq!(there.is_empty(), is_same, "{:?}", there);
        // What is moved one way is moved the other way, and so on.
        let count = |found: &Difference, kind| found.changes.iter().filter(|change| change.kind == kind).count();
        prop_assert_eq!(count(&there, ChangeKind::Added), count(&back, ChangeKind::Removed));
        prop_assert_eq!(count(&there, ChangeKind::Changed), count(&back, ChangeKind::Changed));
        prop_assert_eq!(count(&there, ChangeKind::Moved), count(&back, ChangeKind::Moved));
    }

    #[test]
    fn values_are_the_same_exactly_when_their_canonical_texts_are(a in document(), b in document()) {
        let same = a.canonical(Runtime::Include).unwrap() == b.canonical(Runtime::Include).unwrap();
        prop_assert_eq!(a.node().unwrap().same_value(&b.node().unwrap()), same);
        prop_assert!(a.node().unwrap().same_value(&a.clone().node().unwrap()));
    }
}
