//! What commands cannot do, and what they say then.

use std::fs::File;
use std::process::Stdio;

use super::{Store, id};
use crate::serve::{Running, outcome, strom};
use crate::support::postgres::{Database, count};

/// Those that only look, with enough arguments.
fn looking() -> Vec<Vec<String>> {
    let with_id = ["get", "history", "diff"].map(|name| vec![name.to_owned(), id(1)]);
    let without = ["list", "export", "watch", "trash"].map(|name| vec![name.to_owned()]);
    with_id.into_iter().chain(without).collect()
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let store = Store::json();
    let restore = ["restore", &id(1), "--revision", "1"].map(str::to_owned).to_vec();
    let changing = [vec!["delete".to_owned(), id(1)], restore];
    for arguments in looking().iter().chain(&changing) {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let place = store.path("store/flows.json");
        let expected = format!(
            "error: there are no flows at {}\nname the file with --flows-path or STROM_FLOWS_PATH, or a database with \
             --database-url or STROM_DATABASE_URL\n",
            place.display()
        );
        assert_eq!(store.run(&arguments), (Some(2), String::new(), expected));
        assert!(!store.path("store").exists(), "{arguments:?}");
    }
}

/// A second writer would be one too many; a second reader would read half of it.
#[test]
fn a_file_that_a_server_has_is_left_to_it() {
    let store = Store::json();
    store.fill(&["a"]);
    let flags = [&store.flags()[..], &["serve", "--port", "0"]].concat();
    let server = Running::start(&flags, &[]);
    let expected = format!(
        "error: cannot open {}: in use by the process {}\nAsk the Strom that runs there, or stop it first; one process at \
         a time has the file.\n",
        store.path("store/flows.json").display(),
        server.child.id()
    );
    store.file("flow.json", &super::document(2, "b"));
    let changing = [vec!["put", "flow.json"], vec!["import", "flow.json"], vec!["import", "flow.json", "--dry-run"]];
    let looking = looking();
    let looking = looking.iter().map(|arguments| arguments.iter().map(String::as_str).collect());
    for arguments in looking.chain(changing) {
        let arguments: &Vec<&str> = &arguments;
        assert_eq!(store.run(arguments), (Some(2), String::new(), expected.clone()), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_database_is_not_migrated_by_those_who_look_postgres() {
    let database = Database::empty().await;
    let url = database.url();
    for arguments in looking() {
        let arguments: Vec<_> =
            ["--database-url", &url].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let (code, stdout, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        assert!(
            stderr.contains("no Strom has migrated it yet") && stderr.contains("\nRun `strom migrate`"),
            "{stderr}"
        );
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(count(&mut database.connect().await, tables).await, 0);
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    for arguments in looking() {
        let url = "postgresql://me:hunter2@127.0.0.1:1/flows";
        let arguments: Vec<_> =
            ["--database-url", url].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let (code, stdout, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        assert!(stderr.starts_with("error: cannot open postgresql://me@127.0.0.1:1/flows: "), "{stderr}");
        assert!(
            stderr.ends_with("\nCheck host and port in the URL, and that PostgreSQL is running there.\n"),
            "{stderr}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_changes_nothing_postgres() {
    let store = Store::postgres().await;
    store.file("flow.json", &super::document(1, "a"));
    for arguments in [&["put", "flow.json"] as &[&str], &["import", "flow.json"]] {
        let expected = "error: this instance only reads; write through one that was not opened read-only\n\
                        leave --read-only and STROM_READ_ONLY away to change something\n";
        let refused = store.run(&[arguments, &["--read-only"]].concat());
        assert_eq!(refused, (Some(2), String::new(), expected.to_owned()), "{arguments:?}");
    }
    assert_eq!(store.done(&["list", "--count", "--read-only"]), "0\n");
}

/// It is put together from the journal, as at any start, and that is said; who only looks leaves it at that.
#[test]
fn a_file_that_was_lost_is_found_again() {
    let store = Store::json();
    store.fill(&["a"]);
    std::fs::remove_file(store.path("store/flows.json")).unwrap();
    let (code, stdout, stderr) = store.run(&["list", "--count"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "1\n"));
    assert!(stderr.starts_with("warning: "), "{stderr}");
    assert!(!store.path("store/flows.json").exists());
    store.run(&["delete", &id(2)]);
    assert!(store.path("store/flows.json").exists());
}

#[test]
fn wrong_arguments_are_named() {
    let store = Store::json();
    for (arguments, expected) in [
        (&["get"] as &[&str], "error: the following required arguments were not provided:\n  <ID>\n"),
        (&["get", "x"], "error: invalid value 'x' for '<ID>': "),
        (
            &["get", &id(1), "--revision", "0"],
            "error: invalid value '0' for '--revision <NUMBER>': a revision is a number from 1\n",
        ),
        (&["delete"], "error: the following required arguments were not provided:\n  <ID>...\n"),
        (
            &["list", "--state", "x"],
            "error: invalid value 'x' for '--state <STATE>'\n  [possible values: Null, Ready, Paused, Playing]\n",
        ),
        (&["list", "--sort", "x"], "error: invalid value 'x' for '--sort <KEYS>': flows are sorted by `name`, "),
        (&["list", "--contains", "{"], "error: invalid value '{' for '--contains <JSON>': "),
        (&["list", "--limit", "0"], "error: invalid value '0' for '--limit <NUMBER>': "),
        (&["restore"], "error: the following required arguments were not provided:\n  <ID|FILE>\n"),
        (
            &["watch", "--since", "x"],
            "error: invalid value 'x' for '--since <CURSOR>': not a cursor of the change feed",
        ),
        (&["completions", "x"], "error: invalid value 'x' for '<SHELL>'\n  [possible values: bash, "),
        (&["put", "missing.json"], "error: cannot read missing.json: No such file or directory (os error 2)\n"),
        (&["put", "."], "error: cannot read .: Is a directory (os error 21)\n"),
    ] {
        let (code, stdout, stderr) = store.run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with(expected), "{stderr}");
    }
}

/// A full disk behind a redirection is a failure, other than a reader who has left.
#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let store = Store::json();
    store.fill(&["a"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = store.command(&["list"]).stdout(Stdio::from(full)).spawn().unwrap();
    let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
    let expected = "error: the result cannot be written: No space left on device (os error 28)\n";
    assert_eq!((code, stderr.as_str()), (Some(2), expected));
}
