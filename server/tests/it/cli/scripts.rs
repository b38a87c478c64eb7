//! `strom completions` and `strom openapi`, and output to a pipe.

use std::io::Read;
use std::process::Command;

use serde_json::Value;

use super::Store;
use crate::serve::{Running, outcome, strom};

/// Returns stdout of a successful command that does not use the storage.
fn done(arguments: &[&str]) -> String {
    let (code, stdout, stderr) =
        outcome(&strom(arguments, &[("STROM_FLOWS_PATH", "/nonexistent/x")]).output().unwrap());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    stdout
}

#[test]
fn completions_prints_valid_scripts_for_every_shell() {
    for (shell, beginning) in [("bash", "_strom() {"), ("zsh", "#compdef strom"), ("fish", "# Print an optspec for ")] {
        let script = done(&["completions", shell]);
        assert!(script.starts_with(beginning) && script.contains("on-conflict"), "{shell}: {}", &script[..200]);
    }
    let script = done(&["completions", "bash"]);
    let checked = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test]
async fn openapi_prints_the_document_of_a_server_with_a_key() {
    let store = Store::json();
    let flags = [&store.flags()[..], &["--port", "0", "--api-key", "a key of some length"]].concat();
    let server = Running::start(&flags, &[]);
    let served: Value = reqwest::get(server.url("/api-docs/openapi.json")).await.unwrap().json().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&done(&["openapi"])).unwrap(), served);
}

#[test]
fn openapi_and_completions_ignore_a_closed_pipe() {
    for arguments in [&["openapi"] as &[&str], &["completions", "bash"]] {
        let mut child = strom(arguments, &[]).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
        let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn every_command_help_has_examples() {
    let commands = [
        "list",
        "get",
        "put",
        "edit",
        "delete",
        "import",
        "export",
        "history",
        "trash",
        "backup",
        "config",
        "man",
        "restore",
        "diff",
        "watch",
        "completions",
    ];
    for command in commands {
        let help = done(&[command, "--help"]);
        let examples = help.split_once("Examples:\n").unwrap().1;
        assert!(examples.contains(&format!("  strom {command}")), "{help}");
    }
}
