//! `strom backup`, `strom restore FILE` and `strom switch --with-history`.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{Store, document, id, timeless};

/// Stores a flow with two revisions and a deleted flow with three.
fn fill(store: &Store) {
    store.fill(&["a", "b"]);
    let edited = document(1, "edited");
    assert_eq!(store.run_with(&["put", "-"], &edited).0, Some(0));
    assert_eq!(store.run_with(&["put", "-"], &document(2, "c")).0, Some(0));
    store.done(&["delete", &id(2)]);
}

/// Masks the values that differ between runs.
fn masked(text: &str) -> String {
    let hidden = text.lines().map(|line| match line.split_once(' ') {
        Some((word @ ("sha256" | "time" | "to" | "from"), _)) => format!("{word} …\n"),
        _ => format!("{line}\n"),
    });
    hidden.collect()
}

pub(super) fn backup_and_restore_preserve_flows_histories_and_deletions(store: &Store) {
    fill(store);
    let output = store.done(&["backup", "all.gz"]);
    assert_eq!(masked(&output), "file     all.gz\nfrom …\nflows    1\ndeleted  1\nhistory  5 revisions\nsha256 …\n");
    let archive = store.path("all.gz");
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, 0o600, "flows hold passphrases");
    let again: Value = serde_json::from_str(&store.done(&["backup", "all.gz", "--json"])).unwrap();
    assert_eq!((&again["flows"], &again["deleted"], &again["revisions"]), (&1.into(), &1.into(), &5.into()));

    let other = Store::json();
    let archive = archive.to_str().unwrap();
    let (code, stdout, stderr) = other.run(&["restore", archive, "--dry-run"]);
    let report = "from …\nto …\nflows    1: 1 created, 0 replaced, 0 unchanged, 0 skipped; only in the target: \
                  0\nsha256 …\n\
                  deleted  1: 1 created, 0 unchanged, 0 skipped\nhistory  5 revisions\nsha256 …\ntime …\n";
    assert_eq!((code, masked(&stdout).as_str()), (Some(0), report));
    assert_eq!(stderr, "nothing was written: this was a dry run\n");
    assert!(!other.path("store").exists());

    assert_eq!(masked(&other.done(&["restore", archive])), report);
    for number in [1, 2] {
        assert_eq!(other.done(&["history", &id(number)]), store.done(&["history", &id(number)]));
    }
    assert_eq!(other.done(&["export"]), store.done(&["export"]));
    assert_eq!(other.done(&["trash"]), store.done(&["trash"]));
    let again = other.done(&["restore", archive]);
    assert!(again.contains("0 created, 0 replaced, 1 unchanged, 0 skipped"), "{again}");
}

pub(super) fn restore_does_not_overwrite_changed_flows_by_default(store: &Store) {
    fill(store);
    store.done(&["backup", "all.gz"]);
    assert_eq!(store.run_with(&["put", "-"], &document(1, "newer")).0, Some(0));
    let (code, stdout, stderr) = store.run(&["restore", "all.gz"]);
    let refused =
        format!("refused  {} \"newer\": the target contains this flow with another document at revision 3\n", id(1));
    assert_eq!((code, stderr.as_str()), (Some(1), "nothing was written: the target contains conflicting flows\n"));
    assert!(stdout.contains(&refused), "{stdout}");
    assert!(store.done(&["get", &id(1)]).contains("newer"));

    let output = store.done(&["restore", "all.gz", "--on-conflict", "replace"]);
    assert!(output.contains("0 created, 1 replaced, 0 unchanged, 0 skipped"), "{output}");
    let history = timeless(&store.done(&["history", &id(1)]));
    assert_eq!(history.lines().count(), 5, "the replacement is revision 4, and revision 3 remains: {history}");
}

pub(super) fn restore_of_a_damaged_archive_stores_nothing(store: &Store) {
    fill(store);
    store.done(&["backup", "all.gz"]);
    let mut archive = std::fs::read(store.path("all.gz")).unwrap();
    archive.truncate(archive.len() / 2);
    std::fs::write(store.path("half.gz"), archive).unwrap();
    let failed = |what: &str| (Some(2), String::new(), format!("error: {what}\n"));
    assert_eq!(
        store.run(&["restore", "half.gz"]),
        failed("cannot restore half.gz: the archive ends early in line 2\nnothing was stored; use another archive")
    );
    store.file("other", "{}");
    assert_eq!(
        store.run(&["restore", "other"]),
        failed("cannot restore other: not an archive of Strom\nnothing was stored; use another archive")
    );
    assert_eq!(
        store.run(&["restore", "nowhere"]),
        failed(
            "cannot read nowhere: No such file or directory (os error 2)\ncheck the path and the permissions; `-` is \
             stdin"
        )
    );
    let flow = id(1);
    assert_eq!(
        store.run(&["restore", &flow]),
        failed(&format!(
            "`{flow}` is the id of a flow, and the revision is missing\nset it with --revision; `strom history \
             {flow}` lists all revisions"
        ))
    );
    assert_eq!(
        store.run(&["restore", "all.gz", "--revision", "1"]),
        failed(
            "`all.gz` is not the id of a flow, and only flows have revisions\nomit --revision to restore an archive"
        )
    );
}

pub(super) fn backup_to_an_unwritable_path_fails_without_leaving_a_file(store: &Store) {
    fill(store);
    let failed = |what: &str| (Some(2), String::new(), format!("error: {what}\n"));
    let (code, stdout, stderr) = store.run(&["backup", "nowhere/all.gz"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    // The message also contains the path of the temporary file, which has a random name.
    let (problem, remedy) = stderr.split_once('\n').unwrap();
    let expected = "error: cannot write nowhere/all.gz: No such file or directory (os error 2)";
    assert_eq!(problem.split(" at path").next().unwrap(), expected);
    assert_eq!(remedy, "no archive was written; check the directory, its permissions and the disk\n");
    std::fs::create_dir(store.path("dir")).unwrap();
    for path in ["dir", "/dev/null"] {
        let output = format!("{path} is not a regular file\nset another path for the archive");
        assert_eq!(store.run(&["backup", path]), failed(&output));
    }
    let names: Vec<_> = std::fs::read_dir(store.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| *name == "store" || *name == "dir"), "{names:?}");
}

pub(super) fn switch_with_history_copies_histories(store: &Store) {
    fill(store);
    let other = Store::json();
    let [_, from] = store.flags();
    let [_, to] = other.flags();
    let (code, stdout, stderr) = other.run(&["switch", "--from", from, "--to", to, "--with-history"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("deleted  1: 1 created, 0 unchanged, 0 skipped\nhistory  5 revisions\n"), "{stdout}");
    for number in [1, 2] {
        assert_eq!(other.done(&["history", &id(number)]), store.done(&["history", &id(number)]));
    }
}
