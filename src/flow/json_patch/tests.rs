use proptest::prelude::*;
use serde_json::{Value, json};

use super::apply;
use crate::flow::difference::tests::document as flow;
use crate::flow::{Flow, Node, Runtime};

const ID: &str = r#""id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a""#;

fn patched(patch: &str) -> Result<String, String> {
    let flow = Flow::parse(&format!(r#"{{{ID},"foo":["bar","baz"],"n":18446744073709551617,"a/b":{{"m~n":1.0}}}}"#));
    flow.unwrap().json_patched(patch).map(|flow| flow.document().get().to_owned()).map_err(|error| error.to_string())
}

#[test]
fn operations_keep_what_they_do_not_name() {
    let patch = r#"[{"op":"test","path":"/a~1b/m~0n","value":1},{"op":"move","from":"/foo/0","path":"/foo/-"},
        {"op":"replace","path":"/a~1b","value":1.10},{"op":"copy","from":"/n","path":"/m"},{"op":"remove","path":"/n"}]"#;
    let result = format!(r#"{{{ID},"foo":["baz","bar"],"a/b":1.10,"m":18446744073709551617}}"#);
    assert_eq!(patched(patch), Ok(result));
}

#[test]
fn errors_name_the_operation_and_the_place() {
    let list = r#"[{"op":"add","path":"/x","value":1},"#;
    for (operation, error) in [
        (r#"{"op":"test","path":"/foo/0","value":"x"}"#, "operation 1: the current value differs: `/foo/0`"),
        (r#"{"op":"remove","path":"/foo/2"}"#, "operation 1: the path does not exist: `/foo/2`"),
        (r#"{"op":"add","path":"/foo/3","value":1}"#, "operation 1: the path does not exist: `/foo/3`"),
        (r#"{"op":"add","path":"/foo/01","value":1}"#, "operation 1: the path does not exist: `/foo/01`"),
        (
            r#"{"op":"add","path":"/n/x","value":1}"#,
            "operation 1: the parent is neither an object nor an array: `/n/x`",
        ),
        (r#"{"op":"replace","path":"/y","value":1}"#, "operation 1: the path does not exist: `/y`"),
        (r#"{"op":"move","from":"/foo","path":"/foo/0"}"#, "operation 1: a value cannot be moved into itself"),
        (r#"{"op":"remove","path":""}"#, "operation 1: a patch cannot remove the whole flow; use DELETE"),
        (r#"{"op":"add","path":"x","value":1}"#, "operation 1: the operation requires a member `path`, a JSON pointer"),
        (
            r#"{"op":"add","path":"/~2","value":1}"#,
            "operation 1: the operation requires a member `path`, a JSON pointer",
        ),
        (r#"{"op":"add","path":"/x"}"#, "operation 1: the operation requires a member `value`"),
        (
            r#"{"op":"put","path":"/x"}"#,
            "operation 1: `op` is one of `add`, `remove`, `replace`, `move`, `copy`, `test`",
        ),
        ("7", "operation 1: an operation requires a member `op`, a string"),
        (r#"{"op":"remove","path":"/name"}"#, "`$.name`: missing"),
    ] {
        assert_eq!(patched(&format!("{list}{operation}]")), Err(error.to_owned()), "{operation}");
    }
    assert_eq!(patched("{}"), Err("a patch is an array of operations".to_owned()));
}

#[test]
fn a_patch_that_doubles_the_flow_ends_in_time() {
    // A long text, since many short ones take longer to copy.
    let add = format!(r#"{{"op":"add","path":"/foo/-","value":"{}"}}"#, "x".repeat(1 << 16));
    let doubling = r#"{"op":"copy","from":"/foo","path":"/foo/-"}"#;
    let error = patched(&format!("[{add},{}]", [doubling; 60].join(","))).unwrap_err();
    assert!(error.ends_with("process too much data; send several patches"), "{error}");
}

#[test]
fn a_patch_cannot_nest_deeper_than_a_document_may() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let add = |path: &str, levels| format!(r#"[{{"op":"add","path":"{path}","value":{}}}]"#, nested(levels));
    // The flow is the first level, `a/b` the second.
    let deepest = patched(&add("/a~1b/x", 126)).unwrap();
    assert!(Flow::parse(&deepest).is_ok(), "it can be read again");
    let too_deep = Err("`$`: nested deeper than 128 levels".to_owned());
    let replaced = add("/a~1b/m~0n", 125).replace("add", "replace");
    assert!(patched(&replaced).is_ok());
    // Two trees that are moved into each other by turns, each move twice as deep as one.
    let half = nested(70);
    let inner = "/0".repeat(69);
    let chain = format!(
        r#"[{{"op":"add","path":"/t","value":{half}}},{{"op":"add","path":"/u","value":{half}}},
            {{"op":"move","from":"/u","path":"/t{inner}/-"}}]"#
    );
    assert_eq!(patched(&chain), too_deep);
}

#[test]
fn a_patch_that_reads_the_flow_over_and_over_ends_in_time() {
    let text = "x".repeat(1 << 20);
    let test = r#"{"op":"test","path":"/t","value":1}"#.replace('1', &format!("\"{text}\""));
    let add = test.replace("test", "add");
    // The copies use up what a patch may handle but for less than one test, and are faster to read than tests.
    let copy = r#"{"op":"copy","from":"/t","path":"/u"}"#;
    let patch = |copies: usize| format!("[{add},{},{test}]", vec![copy; copies].join(","));
    assert!(patched(&patch(30)).is_ok(), "there is enough left for one test");
    let error = patched(&patch(31)).unwrap_err();
    assert!(error.starts_with("operation 32:"), "the test is counted: {error}");
    assert!(error.ends_with("process too much data; send several patches"), "{error}");
}

#[test]
fn a_patch_that_empties_a_long_array_from_its_front_ends_in_time() {
    let items = vec!["0"; 100_000].join(",");
    let remove = r#"{"op":"remove","path":"/t/0"}"#;
    let patch = format!(r#"[{{"op":"add","path":"/t","value":[{items}]}},{}]"#, [remove; 1_000].join(","));
    let error = patched(&patch).unwrap_err();
    assert!(error.ends_with("process too much data; send several patches"), "{error}");
}

/// Returns the operations of a patch between two documents, one per line.
fn between(old: &str, new: &str) -> String {
    let [old, new] = [old, new].map(|members| Flow::parse(&format!("{{{ID},{members}}}")).unwrap());
    let patch = old.json_patch(&new).unwrap();
    assert_eq!(kept(&old.json_patched(&patch).unwrap()), kept(&new));
    Node::parse(&patch).unwrap().to_compact().replace(r#"{"op":"#, "\n").replace('"', "")
}

fn kept(flow: &Flow) -> String {
    flow.canonical(Runtime::Include).unwrap()
}

#[test]
fn a_patch_names_what_differs_and_no_more() {
    for (old, new, patch) in [
        (r#""x":1.0,"running":true"#, r#""running":true,"x":1"#, "[]"),
        (
            r#""a/b":{"m~n":1,"x":2}"#,
            r#""a/b":{"m~n":1e30,"y":2}"#,
            "[\nremove,path:/a~1b/x},\nreplace,path:/a~1b/m~0n,value:1e30},\nadd,path:/a~1b/y,value:2}]",
        ),
        (
            r#""n":18446744073709551617"#,
            r#""n":18446744073709551617.10"#,
            "[\nreplace,path:/n,value:18446744073709551617.10}]",
        ),
        (r#""x":[1,2,3,4]"#, r#""x":[1,5,3,4]"#, "[\nreplace,path:/x/1,value:5}]"),
        (r#""x":[1,2,3,4]"#, r#""x":[1,4]"#, "[\nremove,path:/x/2},\nremove,path:/x/1}]"),
        (r#""x":[1,4]"#, r#""x":[1,2,3,4]"#, "[\nadd,path:/x/1,value:2},\nadd,path:/x/2,value:3}]"),
        (r#""x":[{"y":[1]},7]"#, r#""x":[{"y":[2]},7]"#, "[\nreplace,path:/x/0/y/0,value:2}]"),
        (r#""x":{}"#, r#""x":[]"#, "[\nreplace,path:/x,value:[]}]"),
    ] {
        assert_eq!(between(old, new), patch, "{old} {new}");
    }
}

#[test]
fn nodes_and_links_are_patched_by_what_they_are_called() {
    let list = |name: &str, ids: &str| {
        let items: Vec<_> = ids.chars().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
        format!(r#""{name}":[{}]"#, items.join(","))
    };
    let elements = |old, new| between(&list("elements", old), &list("elements", new));
    assert_eq!(elements("abcd", "bcda"), "[\nmove,from:/elements/0,path:/elements/3}]");
    assert_eq!(elements("abcd", "dabc"), "[\nmove,from:/elements/3,path:/elements/0}]");
    assert_eq!(
        elements("abcd", "exdb"),
        "[\nremove,path:/elements/2},\nremove,path:/elements/0},\nadd,path:/elements/0,value:{id:e}},\
         \nadd,path:/elements/1,value:{id:x}},\nmove,from:/elements/3,path:/elements/2}]"
    );
    // Where two have one id they stand for themselves.
    assert_eq!(elements("aab", "ab"), "[\nremove,path:/elements/1}]");
    // Not one of the lists whose items have names.
    assert_eq!(between(&list("x", "ab"), &list("x", "ba")).matches("replace").count(), 2);
    let links = |to, gain| format!(r#""links":[{{"from":"a","to":"{to}","x":0}},{{"from":"a","to":"c","x":{gain}}}]"#);
    assert_eq!(
        between(&links("b", 1), &links("d", 2)),
        "[\nremove,path:/links/0},\nadd,path:/links/0,value:{from:a,to:d,x:0}},\nreplace,path:/links/1/x,value:2}]"
    );
}

/// As few operations as may be, and never more than can be made.
#[test]
fn what_is_too_much_for_operations_is_replaced_as_a_whole() {
    let many = |count: u32, value: u32| {
        let members: Vec<_> = (0..count).map(|number| format!(r#""m{number}":{value}"#)).collect();
        members.join(",")
    };
    let operations = |count| between(&many(count, 1), &many(count, 2)).matches("\nreplace,path:/m").count();
    // Each operation looks through the members, and that is counted.
    assert_eq!(operations(5_000), 5_000);
    assert_eq!(operations(10_001), 0);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[ab~/]", inner, 0..3).prop_map(Value::from_iter),
        ]
    })
}

fn pointer() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("~0"), Just("~1"), Just("0"), Just("1"), Just("2"), Just("-")];
    prop::collection::vec(name, 1..4).prop_map(|names| names.iter().map(|name| format!("/{name}")).collect())
}

fn patch() -> impl Strategy<Value = Value> {
    let op = prop_oneof![Just("add"), Just("remove"), Just("replace"), Just("move"), Just("copy"), Just("test")];
    let operation = (op, pointer(), pointer(), value())
        .prop_map(|(op, path, from, value)| json!({ "op": op, "path": path, "from": from, "value": value }));
    prop::collection::vec(operation, 1..5).prop_map(Value::from)
}

proptest! {
    #[test]
    fn a_patch_makes_the_other_document(old in flow(), new in flow()) {
        let patch = old.json_patch(&new).unwrap();
        prop_assert_eq!(kept(&old.json_patched(&patch).unwrap()), kept(&new), "{}", patch);
        prop_assert_eq!(patch == "[]", kept(&old) == kept(&new), "{}", patch);
        prop_assert_eq!(old.json_patch(&old).unwrap(), "[]");
    }

    /// Any two values, including patches from other implementations.
    #[test]
    fn a_patch_makes_any_other_value(old in value(), new in value()) {
        let document = |value: &Value| Flow::parse(&format!(r#"{{{ID},"x":{value},"elements":{value}}}"#)).unwrap();
        let (old, new) = (document(&old), document(&new));
        let patch = old.json_patch(&new).unwrap();
        prop_assert_eq!(kept(&old.json_patched(&patch).unwrap()), kept(&new), "{}", patch);
        let (mut theirs, new): (Value, Value) = (old.decode().unwrap(), new.decode().unwrap());
        let operations: json_patch::Patch = serde_json::from_str(&patch).unwrap();
        json_patch::patch(&mut theirs, &operations).unwrap();
        prop_assert_eq!(theirs, new);
    }

    /// What a crate makes of it that is used widely.
    #[test]
    fn patches_do_what_others_make_of_them(document in value(), patch in patch()) {
        let (text, operations) = (document.to_string(), patch.to_string());
        let mut node = Node::parse(&text).unwrap();
        let ours = apply(&mut node, &Node::parse(&operations).unwrap());
        let mut theirs = document.clone();
        let operations: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
        // Without its way back after an error, which panics when the error came in the midst of a move.
        let judged = json_patch::patch_unsafe(&mut theirs, &operations);
        prop_assert_eq!(ours.is_ok(), judged.is_ok(), "{:?} {:?}", ours, judged);
        if ours.is_ok() {
            let ours: Value = serde_json::from_str(&node.to_compact()).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }
}
