//! `strom list`.

use std::io::Read;

use serde_json::Value;

use super::{Store, id, timeless};

const HEADER: &str = "ID                                    STATE    AUTO   REVISION  UPDATED                  BYTES  \
                      NODES  NAME\n";

pub(super) fn list_prints_a_table(store: &Store) {
    store.fill(&["b\\u001b[2J", "a"]);
    let text = format!(
        r#"{{"id":"{}","name":"c","gst_state":"Playing","elements":[{{"id":"x","element_type":"t","position":[1,2]}}],
            "properties":{{"auto_restart":true}}}}"#,
        id(3)
    );
    store.run_with(&["put", "-"], &text);
    let row = |number, rest: &str| format!("{}  {rest}\n", id(number));
    let expected = HEADER.to_owned()
        + &row(2, "Null     no            1  …        59      0  a")
        + &row(1, "Null     no            1  …        68      0  b\\u{1b}[2J")
        + &row(3, "Playing  yes           1  …       189      1  c");
    assert_eq!(timeless(&store.done(&["list"])), expected);
}

pub(super) fn list_json_output_matches_the_api(store: &Store) {
    store.fill(&["a"]);
    store.done(&["delete", &id(1)]);
    assert_eq!(store.done(&["list", "--json"]), "{\"flows\":[\n]}\n");
    store.fill(&["a", "b"]);
    let list: Value = serde_json::from_str(&store.done(&["list", "--json", "--limit", "1"])).unwrap();
    let members: Vec<_> = list["flows"][0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "id",
        "name",
        "state",
        "auto_restart",
        "revision",
        "created_at",
        "updated_at",
        "size",
        "elements",
        "blocks",
        "links",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected, "the members match the API");
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest: Value = serde_json::from_str(&store.done(&["list", "--json", "--cursor", cursor])).unwrap();
    assert_eq!((&rest["flows"][0]["name"], rest.get("next_cursor")), (&Value::from("b"), None));
    assert_eq!(store.done(&["list", "--count", "--json", "--name", "B"]), "{\"total\":1}\n");
}

pub(super) fn list_filters_sorts_and_pages(store: &Store) {
    store.fill(&["Studio a", "Studio b", "Gallery"]);
    let names = |arguments: &[&str]| {
        let list = store.done(&[&["list"], arguments].concat());
        list.lines().skip(1).map(|line| line[103..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["--name", "STUDIO"]), ["Studio a", "Studio b"]);
    assert_eq!(names(&["--sort=-name"]), ["Studio b", "Studio a", "Gallery"]);
    assert_eq!(names(&["--contains", r#"{"name":"Gallery"}"#]), ["Gallery"]);
    assert_eq!(names(&["--state", "Playing"]), [""; 0]);
    assert_eq!(names(&["--auto-restart", "false"]).len(), 3);
    let (code, page, more) = store.run(&["list", "--sort=-name", "--limit", "2"]);
    assert_eq!((code, page.lines().count()), (Some(0), 3));
    let cursor = more.strip_prefix("more flows exist: --cursor ").unwrap().trim_end();
    assert_eq!(names(&["--sort=-name", "--cursor", cursor]), ["Gallery"]);
    let other = store.run(&["list", "--cursor", cursor]);
    let expected = "error: the cursor belongs to a list with another --sort\n\
                    use the --sort of that list, or omit --cursor\n";
    assert_eq!(other, (Some(2), String::new(), expected.to_owned()));
}

/// As in `strom list | head -1`, with more output than a pipe buffers.
pub(super) fn a_closed_pipe_is_not_an_error(store: &Store) {
    let flow = |number| format!("{}\n", super::document(number, &"n".repeat(200)));
    let flows: String = (1..=1_500).map(flow).collect();
    assert_eq!(store.run_with(&["import", "-"], &flows).0, Some(0));
    for arguments in [&["list"] as &[&str], &["list", "--json"], &["export"], &["export", "--format", "ndjson"]] {
        let mut child = store.command(arguments).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
