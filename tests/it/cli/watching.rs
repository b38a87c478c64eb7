//! `strom watch`.

use std::io::{BufRead, BufReader};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Store, document, id, timeless};
use crate::serve::strom;
use crate::support::postgres::run;
use crate::support::proxy::Proxy;

const WAITING: &str = "waiting for a transaction on the server: ";

/// What is shown of what was made by now. The transaction of another test on the same server may have to be waited for.
fn until_now(store: &Store, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = store.run(&[&["watch", "--until-now"], arguments].concat());
    assert!(code == Some(0) && (stderr.is_empty() || stderr.starts_with(WAITING)), "{code:?} {stderr}");
    stdout
}

pub(super) fn changes_that_were_made_are_shown(store: &Store) {
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
    assert_eq!(members, ["at", "author", "cursor", "flow_id", "name", "op", "revision"], "as of the API");
    let cursor = changes[1]["cursor"].as_str().unwrap();
    assert_eq!(timeless(&until_now(store, &["--since", cursor])), rows[2]);
    let (code, stdout, stderr) = store.run(&["watch", "--since", "99.99.99", "--until-now"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with("error: the changes behind this place are no longer kept\n"), "{stderr}");
}

/// In a file nobody else can store anything meanwhile; there what was there is shown, and the signal ends it.
pub(super) fn changes_are_followed_until_a_signal(store: &Store) {
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
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""));
}

/// Somebody else's transaction may keep changes from those who follow, and what was made by now is not all there then.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_by_now_is_waited_for_postgres() {
    let store = Store::postgres().await;
    let mut psql = store.connect().await;
    run(&mut psql, "BEGIN; SELECT pg_current_xact_id()").await;
    store.fill(&["a"]);
    assert_eq!(until_now(&store, &[]), "", "from now on until now there is nothing");
    let mut child = store.command(&["watch", "--since", "0", "--until-now"]).spawn().unwrap();
    let mut news = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = news.next().unwrap().unwrap();
    assert!(told.starts_with(WAITING), "{told}");
    run(&mut psql, "COMMIT").await;
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let rows = timeless(&String::from_utf8(ended.stdout).unwrap());
    assert_eq!(rows, format!("…  create   {}      1  cli         a\n", id(1)));
}

/// While the database is away it waits, and goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_waited_for_postgres() {
    let store = Store::postgres().await;
    let proxy = Proxy::before(store.flags()[1]).await;
    let url = proxy.url();
    let mut child = strom(&["watch", "--since", "0", "--database-url", &url], &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut news = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = || timeless(&lines.next().unwrap().unwrap());
    store.fill(&["a"]);
    assert_eq!(next(), format!("…  create   {}      1  cli         a", id(1)));
    proxy.cut();
    let told = news.next().unwrap().unwrap();
    assert!(
        told.starts_with("warning: the storage is not available: ") && told.ends_with("; waiting for it"),
        "{told}"
    );
    store.done(&["delete", &id(1)]);
    proxy.restore();
    assert_eq!(news.next().unwrap().unwrap(), "it is back, and nothing was missed");
    assert_eq!(next(), format!("…  delete   {}      2  cli         a", id(1)));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
