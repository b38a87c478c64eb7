//! `strom watch`.

use std::io::{BufRead, BufReader};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Store, document, id, timeless};
use crate::serve::strom;
use strom_test_support::postgres::run;
use strom_test_support::proxy::Proxy;

const WAITING: &str = "waiting for an open transaction on the server: ";

/// Returns the output of `--until-now`. A transaction of another test on the same server may delay it.
fn until_now(store: &Store, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = store.run(&[&["watch", "--until-now"], arguments].concat());
    assert!(code == Some(0) && (stderr.is_empty() || stderr.starts_with(WAITING)), "{code:?} {stderr}");
    stdout
}

pub(super) fn until_now_prints_existing_changes_and_exits(store: &Store) {
    store.fill(&["a", "b"]);
    store.done(&["delete", &id(1)]);
    let rows = [
        format!("…  create   {}      1  cli         a\n", id(1)),
        format!("…  create   {}      1  cli         b\n", id(2)),
        format!("…  delete   {}      2  cli         a\n", id(1)),
    ];
    assert_eq!(timeless(&until_now(store, &["--since", "0"])), rows.concat());
    assert_eq!(until_now(store, &[]), "");

    let all = until_now(store, &["--since", "0", "--json"]);
    let changes: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(changes.len(), 3);
    let mut members: Vec<_> = changes[0].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["at", "author", "cursor", "flow_id", "name", "op", "revision"], "the members match the API");
    let cursor = changes[1]["cursor"].as_str().unwrap();
    assert_eq!(timeless(&until_now(store, &["--since", cursor])), rows[2]);
    let (code, stdout, stderr) = store.run(&["watch", "--since", "99.99.99", "--until-now"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with("error: the feed no longer retains the changes after this cursor\n"), "{stderr}");
}

/// A JSON file that is watched has no other writer, so only PostgreSQL gets a second change.
pub(super) fn watch_prints_new_changes_until_a_signal(store: &Store) {
    store.fill(&["a"]);
    let mut child = store.command(&["watch", "--since", "0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || timeless(&lines.next().unwrap().unwrap());
    assert_eq!(next(), format!("…  create   {}      1  cli         a", id(1)));
    if store.flags()[0] == "--database-url" {
        store.run_with(&["put", "-"], &document(2, "b"));
        assert_eq!(next(), format!("…  create   {}      1  cli         b", id(2)));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

/// Changes of a committed transaction become visible only after every older transaction has ended.
#[tokio::test(flavor = "multi_thread")]
async fn until_now_waits_for_delayed_changes_postgres() {
    let store = Store::postgres().await;
    let mut psql = store.connect().await;
    run(&mut psql, "BEGIN; SELECT pg_current_xact_id()").await;
    store.fill(&["a"]);
    assert_eq!(until_now(&store, &[]), "", "no change is newer than the start of the command");
    let mut child = store.command(&["watch", "--since", "0", "--until-now"]).spawn().unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap()).lines();
    let message = messages.next().unwrap().unwrap();
    assert!(message.starts_with(WAITING), "{message}");
    run(&mut psql, "COMMIT").await;
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let rows = timeless(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(rows, format!("…  create   {}      1  cli         a\n", id(1)));
}

/// During an outage, the command waits. Then it continues at its cursor.
#[tokio::test(flavor = "multi_thread")]
async fn watch_continues_after_an_outage_postgres() {
    let store = Store::postgres().await;
    let proxy = Proxy::before(store.flags()[1]).await;
    let url = proxy.url();
    let mut child = strom(&["watch", "--since", "0", "--database-url", &url], &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut messages = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = || timeless(&lines.next().unwrap().unwrap());
    store.fill(&["a"]);
    assert_eq!(next(), format!("…  create   {}      1  cli         a", id(1)));
    proxy.cut();
    let message = messages.next().unwrap().unwrap();
    assert!(
        message.starts_with("warning: the storage is not available: ")
            && message.ends_with("; retrying until it is available"),
        "{message}"
    );
    store.done(&["delete", &id(1)]);
    proxy.restore();
    assert_eq!(messages.next().unwrap().unwrap(), "the storage is available again; no change was missed");
    assert_eq!(next(), format!("…  delete   {}      2  cli         a", id(1)));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
