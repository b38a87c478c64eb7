//! The files that commands write, and those that they must not overwrite.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::{Store, document, id};
use crate::serve::{outcome, strom};

/// Returns the files of a directory with their contents.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let file = |path: std::path::PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), path);
    entries.filter(|path| path.is_file()).map(file).map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

#[test]
fn no_command_overwrites_a_file_of_the_store() {
    let store = Store::json();
    store.fill(&["a", "b"]);
    let directory = store.path("store");
    let before = contents(&directory);
    for name in ["flows.json", "flows.json.journal", "flows.json.history", "flows.json.lock"] {
        let exists = before.contains_key(name);
        if exists {
            symlink(directory.join(name), store.path(&format!("link-{name}"))).unwrap();
            fs::hard_link(directory.join(name), store.path(&format!("hard-{name}"))).unwrap();
        }
        let to = store.path("other.json").to_str().unwrap().to_owned();
        let from = directory.join("flows.json").to_str().unwrap().to_owned();
        for path in ["store/", "store/../store/", "link-", "hard-"].map(|prefix| format!("{prefix}{name}")) {
            if !exists && !path.contains('/') {
                continue;
            }
            for command in [
                vec!["backup", &path],
                vec!["export", "-o", &path],
                vec!["export", "--format", "ndjson", "-o", &path],
                vec!["switch", "--from", &from, "--to", &to, "--receipt", &path],
            ] {
                let (code, stdout, stderr) = store.run(&command);
                assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command:?}: {stderr}");
                assert!(stderr.contains("belongs to a JSON store") || command[0] == "switch", "{command:?}: {stderr}");
            }
        }
    }
    assert_eq!(contents(&directory), before);
    assert!(!store.path("other.json").exists(), "the receipt is validated before any work");
}

pub(super) fn backup_replaces_archives_only(store: &Store) {
    store.fill(&["a"]);
    for (name, text) in [("notes.txt", "important"), ("empty", ""), ("export.json", r#"{"version":1,"flows":[]}"#)] {
        let path = store.file(name, text);
        let expected = format!(
            "error: {name} exists and is not an archive of `strom backup`\nset another path, or delete the file first\n"
        );
        assert_eq!(store.run(&["backup", name]), (Some(2), String::new(), expected));
        assert_eq!(fs::read_to_string(path).unwrap(), text);
    }
    store.done(&["backup", "all.gz"]);
    let first = fs::read(store.path("all.gz")).unwrap();
    assert_eq!(store.run_with(&["put", "-"], &document(2, "b")).0, Some(0));
    store.done(&["backup", "all.gz"]);
    assert_ne!(fs::read(store.path("all.gz")).unwrap(), first);
}

pub(super) fn a_dash_is_stdout_and_stdin(store: &Store) {
    store.fill(&["a", "b"]);
    let backup = store.command(&["backup", "-"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(backup.status.code(), Some(0));
    assert!(String::from_utf8(backup.stderr).unwrap().starts_with("file     stdout\n"));
    let other = Store::json();
    let mut restore = other.command(&["restore", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    restore.stdin.take().unwrap().write_all(&backup.stdout).unwrap();
    let (code, stdout, stderr) = outcome(&restore.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.starts_with("from     stdin, made of"), "{stdout}");
    assert_eq!(other.done(&["export", "-o", "-"]), store.done(&["export"]));
    assert!(!other.path("-").exists() && !store.path("-").exists());

    let third = Store::json();
    let ([_, from], [_, to]) = (store.flags(), third.flags());
    let (code, stdout, stderr) = store.run(&["switch", "--from", from, "--to", to, "--receipt", "-"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let receipt: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(receipt["created"], 2, "{receipt}");
    assert!(!store.path("-").exists());
}

pub(super) fn urls_are_no_paths_and_the_home_directory_is_expanded(store: &Store) {
    store.fill(&["a"]);
    for url in ["http://host/a", "postgresql://strom:secret@db/strom", "s3://bucket/a.gz", "file:///tmp/a.gz"] {
        for command in [
            vec!["backup", url],
            vec!["restore", url],
            vec!["export", "-o", url],
            vec!["export", "--format", "dir", "-o", url],
            vec!["import", url],
            vec!["put", url],
            vec!["man", "--dir", url],
        ] {
            let (code, stdout, stderr) = store.run(&command);
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command:?}: {stderr}");
            assert!(stderr.contains("URL was given instead of a path") && !stderr.contains("secret"), "{stderr}");
        }
    }
    let (code, _, stderr) = outcome(&strom(&["list", "--flows-path", "http://host/flows.json"], &[]).output().unwrap());
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with("error: --flows-path: a `http:` URL was given"), "{stderr}");
    let home = store.path("home");
    fs::create_dir(&home).unwrap();
    let output = store.command(&["export", "--output=~/flows.json"]).env("HOME", &home).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(home.join("flows.json").is_file());
    let (code, _, stderr) = store.run(&["backup", "~nobody/all.gz"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(!store.path("~").exists() && !store.path("http:").exists());
}

#[test]
fn dry_runs_write_nothing() {
    let store = Store::json();
    store.fill(&["a"]);
    store.done(&["backup", "all.gz"]);
    // As after an editor has replaced the only file.
    let directory = store.path("from");
    fs::create_dir(&directory).unwrap();
    let file = store.file("from/flows.json", &format!(r#"{{"version":1,"flows":[{}]}}"#, document(1, "a")));
    let (from, to) = (file.to_str().unwrap(), store.path("missing/flows.json"));
    let import = store.file("new.json", &document(2, "b"));
    let (stored, before) = (contents(&store.path("store")), contents(&store.path(".")));
    for command in [
        vec!["switch", "--dry-run", "--from", from, "--to", to.to_str().unwrap()],
        vec!["switch", "--dry-run", "--from", from, "--to", store.flags()[1], "--on-conflict", "skip"],
        vec!["restore", "--dry-run", "all.gz"],
        vec!["import", "--dry-run", import.to_str().unwrap()],
    ] {
        let (code, stdout, stderr) = store.run(&command);
        assert_eq!(code, Some(0), "{command:?}: {stdout}{stderr}");
    }
    assert_eq!(contents(&directory).keys().collect::<Vec<_>>(), ["flows.json"]);
    assert_eq!(contents(&store.path("store")), stored);
    assert_eq!(contents(&store.path(".")), before);
    assert!(!store.path("missing").exists());
}

#[test]
fn a_switch_can_be_repeated_after_it_was_interrupted() {
    let (source, target) = (Store::json(), Store::json());
    source.fill(&["a", "b"]);
    // The target has deleted the flow before, so it adopts it with a higher revision.
    target.fill(&["old"]);
    assert_eq!(target.run_with(&["put", "-"], &document(1, "older")).0, Some(0));
    target.done(&["delete", &id(1)]);
    let ([_, from], [_, to]) = (source.flags(), target.flags());
    let (code, stdout, stderr) = source.run(&["switch", "--from", from, "--to", to, "--receipt", "first.json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    // As if the process had been killed before it wrote the receipt.
    let (code, stdout, stderr) = source.run(&["switch", "--from", from, "--to", to, "--receipt", "second.json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("0 created, 0 replaced, 2 unchanged, 0 skipped"), "{stdout}");
    assert!(source.path("second.json").is_file());

    let third = Store::json();
    let [_, to] = third.flags();
    for receipt in ["first.json", "missing/receipt.json", "."] {
        let (code, _, stderr) = source.run(&["switch", "--from", from, "--to", to, "--receipt", receipt]);
        assert_eq!(code, Some(2), "{receipt}: {stderr}");
        assert!(stderr.contains("nothing was moved; set another path with --receipt"), "{stderr}");
    }
    assert!(!Path::new(to).exists(), "the receipt is validated before any work");
}

#[test]
fn a_decompression_bomb_is_not_restored() {
    let store = Store::json();
    let mut bomb = GzEncoder::new(fs::File::create(store.path("bomb.gz")).unwrap(), Compression::best());
    bomb.write_all(br#"{"strom":"archive","format":1,"made_by":"x","at":"2026-01-01T00:00:00Z","from":"y"}"#).unwrap();
    bomb.write_all(b"\n{\"flow\":\"").unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..200 {
        bomb.write_all(&zeros).unwrap();
    }
    bomb.finish().unwrap();
    let (code, stdout, stderr) = store.run(&["restore", "bomb.gz"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("line 2 is damaged") && stderr.contains("decompression bomb"), "{stderr}");
    assert!(!store.path("store").exists());
}
