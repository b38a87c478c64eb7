use proptest::prelude::*;
use serde_json::{Value, json};

use super::apply;
use crate::flow::{Flow, Node};

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
        (r#"{"op":"test","path":"/foo/0","value":"x"}"#, "operation 1: another value is there: `/foo/0`"),
        (r#"{"op":"remove","path":"/foo/2"}"#, "operation 1: there is no such place: `/foo/2`"),
        (r#"{"op":"add","path":"/foo/3","value":1}"#, "operation 1: there is no such place: `/foo/3`"),
        (r#"{"op":"add","path":"/foo/01","value":1}"#, "operation 1: there is no such place: `/foo/01`"),
        (r#"{"op":"add","path":"/n/x","value":1}"#, "operation 1: there is nothing to add to: `/n/x`"),
        (r#"{"op":"replace","path":"/y","value":1}"#, "operation 1: there is no such place: `/y`"),
        (r#"{"op":"move","from":"/foo","path":"/foo/0"}"#, "operation 1: nothing can be moved into itself"),
        (r#"{"op":"remove","path":""}"#, "operation 1: a flow is deleted otherwise"),
        (r#"{"op":"add","path":"x","value":1}"#, "operation 1: it needs a member `path`, a JSON pointer"),
        (r#"{"op":"add","path":"/~2","value":1}"#, "operation 1: it needs a member `path`, a JSON pointer"),
        (r#"{"op":"add","path":"/x"}"#, "operation 1: it needs a member `value`"),
        (
            r#"{"op":"put","path":"/x"}"#,
            "operation 1: `op` is one of `add`, `remove`, `replace`, `move`, `copy`, `test`",
        ),
        ("7", "operation 1: an operation has a member `op`, a string"),
        (r#"{"op":"remove","path":"/name"}"#, "`$.name`: missing"),
    ] {
        assert_eq!(patched(&format!("{list}{operation}]")), Err(error.to_owned()), "{operation}");
    }
    assert_eq!(patched("{}"), Err("a patch is an array of operations".to_owned()));
}

#[test]
fn a_patch_that_doubles_the_flow_ends_in_time() {
    let doubling = r#"{"op":"copy","from":"/foo","path":"/foo/-"}"#;
    let error = patched(&format!("[{}]", [doubling; 60].join(","))).unwrap_err();
    assert!(error.ends_with("handle too much; send them in several patches"), "{error}");
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
    let patch = format!("[{add},{}]", [test.as_str(); 40].join(","));
    let error = patched(&patch).unwrap_err();
    assert!(error.ends_with("handle too much; send them in several patches"), "{error}");
}

#[test]
fn a_patch_that_empties_a_long_array_from_its_front_ends_in_time() {
    let items = vec!["0"; 100_000].join(",");
    let remove = r#"{"op":"remove","path":"/t/0"}"#;
    let patch = format!(r#"[{{"op":"add","path":"/t","value":[{items}]}},{}]"#, [remove; 1_000].join(","));
    let error = patched(&patch).unwrap_err();
    assert!(error.ends_with("handle too much; send them in several patches"), "{error}");
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
