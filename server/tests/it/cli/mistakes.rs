//! Commands that fail print an error message and exit with 2.

use std::fs::File;
use std::process::Stdio;

use super::{Store, id};
use crate::serve::{Running, outcome, strom};
use strom_test_support::postgres::{Database, count};

/// Returns the commands that only read, with valid arguments.
fn reading_commands() -> Vec<Vec<String>> {
    let with_id = ["get", "history", "diff"].map(|name| vec![name.to_owned(), id(1)]);
    let without = ["list", "export", "watch", "trash"].map(|name| vec![name.to_owned()]);
    with_id.into_iter().chain(without).collect()
}

#[test]
fn commands_do_not_create_a_missing_file() {
    let store = Store::json();
    let restore = ["restore", &id(1), "--revision", "1"].map(str::to_owned).to_vec();
    let changing = [vec!["delete".to_owned(), id(1)], restore];
    for arguments in reading_commands().iter().chain(&changing) {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let path = store.path("store/flows.json");
        let expected = format!(
            "error: there are no flows at {}\nset --flows-path or STROM_FLOWS_PATH to the file, or --database-url or \
             STROM_DATABASE_URL to a database\n",
            path.display()
        );
        assert_eq!(store.run(&arguments), (Some(2), String::new(), expected));
        assert!(!store.path("store").exists(), "{arguments:?}");
    }
}

/// A second writer would damage the file. Readers work, and do not prevent the start of another server.
#[test]
fn next_to_a_server_commands_can_read_the_file_but_not_change_it() {
    let store = Store::json();
    store.fill(&["a"]);
    let flags = [&store.flags()[..], &["serve", "--port", "0"]].concat();
    let server = Running::start(&flags, &[]);
    let expected = format!(
        "error: cannot open {}: in use by the process {} on the host {}, which serves http://{}\nUse the running \
         instance, or stop it first. Only one process can change the file.\n",
        store.path("store/flows.json").display(),
        server.child.id(),
        rustix::system::uname().nodename().to_str().unwrap(),
        server.address
    );
    store.file("flow.json", &super::document(2, "b"));
    assert_eq!(store.run(&["put", "flow.json"]), (Some(2), String::new(), expected));
    let reading = reading_commands();
    let reading = reading.iter().map(|arguments| arguments.iter().map(String::as_str).collect());
    let dry_run = vec!["import", "flow.json", "--dry-run"];
    for arguments in reading.chain([dry_run]).filter(|arguments: &Vec<&str>| arguments[0] != "watch") {
        let (code, _, stderr) = store.run(&arguments);
        // The flow has only one revision, so `diff` finds nothing to compare.
        assert_eq!(code, Some(i32::from(arguments[0] == "diff")), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn reading_commands_do_not_migrate_postgres() {
    let database = Database::empty().await;
    let url = database.url();
    for arguments in reading_commands() {
        let arguments: Vec<_> =
            ["--database-url", &url].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let (code, stdout, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        assert!(
            stderr.contains("the database has no schema yet")
                && stderr.contains("\nOn the primary, run `strom migrate`"),
            "{stderr}"
        );
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(count(&mut database.connect().await, tables).await, 0);
}

#[test]
fn error_about_an_unreachable_database_omits_the_password() {
    for arguments in reading_commands() {
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
async fn read_only_rejects_every_change_postgres() {
    let store = Store::postgres().await;
    store.file("flow.json", &super::document(1, "a"));
    for arguments in [&["put", "flow.json"] as &[&str], &["import", "flow.json"]] {
        let expected = "error: this instance is read-only; write through an instance that was not opened read-only\n\
                        to change flows, run without --read-only and STROM_READ_ONLY\n";
        let refused = store.run(&[arguments, &["--read-only"]].concat());
        assert_eq!(refused, (Some(2), String::new(), expected.to_owned()), "{arguments:?}");
    }
    assert_eq!(store.done(&["list", "--count", "--read-only"]), "0\n");
}

/// A writing command restores the file from the journal and prints a warning. A reading command only prints the warning.
#[test]
fn a_lost_file_is_restored_from_the_journal() {
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
fn invalid_arguments_are_rejected() {
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

#[test]
fn list_fails_if_the_disk_is_full() {
    let store = Store::json();
    store.fill(&["a"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = store.command(&["list"]).stdout(Stdio::from(full)).spawn().unwrap();
    let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
    let expected = "error: cannot write the result: No space left on device (os error 28)\n";
    assert_eq!((code, stderr.as_str()), (Some(2), expected));
}
