//! `strom backup`, `strom restore FILE` and `strom switch --with-history`.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{Store, document, id, timeless};

/// A flow of two revisions, one of three that was deleted.
fn fill(store: &Store) {
    store.fill(&["a", "b"]);
    let edited = document(1, "edited");
    assert_eq!(store.run_with(&["put", "-"], &edited).0, Some(0));
    assert_eq!(store.run_with(&["put", "-"], &document(2, "c")).0, Some(0));
    store.done(&["delete", &id(2)]);
}

/// With what differs from run to run replaced by dots.
fn known(text: &str) -> String {
    let hidden = text.lines().map(|line| match line.split_once(' ') {
        Some((word @ ("sha256" | "time" | "to" | "from"), _)) => format!("{word} …\n"),
        _ => format!("{line}\n"),
    });
    hidden.collect()
}

pub(super) fn an_archive_brings_everything_back(store: &Store) {
    fill(store);
    let told = store.done(&["backup", "all.gz"]);
    assert_eq!(known(&told), "file     all.gz\nfrom …\nflows    1\ndeleted  1\nhistory  5 revisions\nsha256 …\n");
    let archive = store.path("all.gz");
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, 0o600, "flows hold passphrases");
    let again: Value = serde_json::from_str(&store.done(&["backup", "all.gz", "--json"])).unwrap();
    assert_eq!((&again["flows"], &again["deleted"], &again["revisions"]), (&1.into(), &1.into(), &5.into()));

    let other = Store::json();
    let archive = archive.to_str().unwrap();
    let (code, stdout, stderr) = other.run(&["restore", archive, "--dry-run"]);
    let report = "from …\nto …\nflows    1: 1 created, 0 replaced, 0 unchanged, 0 skipped; the target alone has 0\nsha256 …\n\
                  deleted  1: 1 created, 0 unchanged, 0 skipped\nhistory  5 revisions\nsha256 …\ntime …\n";
    assert_eq!((code, known(&stdout).as_str()), (Some(0), report));
    assert_eq!(stderr, "nothing was written: this was a dry run\n");
    assert!(!other.path("store").exists());

    assert_eq!(known(&other.done(&["restore", archive])), report);
    for number in [1, 2] {
        assert_eq!(other.done(&["history", &id(number)]), store.done(&["history", &id(number)]));
    }
    assert_eq!(other.done(&["export"]), store.done(&["export"]));
    assert_eq!(other.done(&["trash"]), store.done(&["trash"]));
    let again = other.done(&["restore", archive]);
    assert!(again.contains("0 created, 0 replaced, 1 unchanged, 0 skipped"), "{again}");
}

pub(super) fn what_is_there_is_not_overwritten(store: &Store) {
    fill(store);
    store.done(&["backup", "all.gz"]);
    assert_eq!(store.run_with(&["put", "-"], &document(1, "newer")).0, Some(0));
    let (code, stdout, stderr) = store.run(&["restore", "all.gz"]);
    let refused =
        format!("refused  {} \"newer\": the target has this flow with another document, at revision 3\n", id(1));
    assert_eq!((code, stderr.as_str()), (Some(1), "nothing was written: flows are in the way\n"));
    assert!(stdout.contains(&refused), "{stdout}");
    assert!(store.done(&["get", &id(1)]).contains("newer"));

    let told = store.done(&["restore", "all.gz", "--on-conflict", "replace"]);
    assert!(told.contains("0 created, 1 replaced, 0 unchanged, 0 skipped"), "{told}");
    let history = timeless(&store.done(&["history", &id(1)]));
    assert_eq!(history.lines().count(), 5, "as revision 4, and what was there is kept: {history}");
}

pub(super) fn nothing_is_restored_of_a_damaged_archive(store: &Store) {
    fill(store);
    store.done(&["backup", "all.gz"]);
    let mut archive = std::fs::read(store.path("all.gz")).unwrap();
    archive.truncate(archive.len() / 2);
    std::fs::write(store.path("half.gz"), archive).unwrap();
    let failed = |what: &str| (Some(2), String::new(), format!("error: {what}\n"));
    assert_eq!(
        store.run(&["restore", "half.gz"]),
        failed("cannot restore half.gz: it breaks off in line 2\nnothing was stored; take another archive")
    );
    store.file("other", "{}");
    assert_eq!(
        store.run(&["restore", "other"]),
        failed("cannot restore other: it is no archive of Strom\nnothing was stored; take another archive")
    );
    assert_eq!(
        store.run(&["restore", "nowhere"]),
        failed(
            "cannot read nowhere: No such file or directory (os error 2)\ncheck the name and the permissions; `-` is stdin"
        )
    );
    let flow = id(1);
    assert_eq!(
        store.run(&["restore", &flow]),
        failed(&format!(
            "`{flow}` is the id of a flow\nsay which revision it shall be again with --revision; `strom history {flow}` lists them"
        ))
    );
    assert_eq!(
        store.run(&["restore", "all.gz", "--revision", "1"]),
        failed(
            "`all.gz` is not the id of a flow, and only flows have revisions\nleave --revision away to restore an archive"
        )
    );
}

pub(super) fn an_archive_that_cannot_be_written_leaves_nothing(store: &Store) {
    fill(store);
    let failed = |what: &str| (Some(2), String::new(), format!("error: {what}\n"));
    let (code, stdout, stderr) = store.run(&["backup", "nowhere/all.gz"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    // The system names the file that it could not make.
    let (problem, remedy) = stderr.split_once('\n').unwrap();
    let expected = "error: cannot write nowhere/all.gz: No such file or directory (os error 2)";
    assert_eq!(problem.split(" at path").next().unwrap(), expected);
    assert_eq!(remedy, "no archive was made; check the directory, its permissions and the disk\n");
    std::fs::create_dir(store.path("dir")).unwrap();
    for place in ["dir", "/dev/null"] {
        let told = format!("{place} is a directory, or no file\nname a file for the archive");
        assert_eq!(store.run(&["backup", place]), failed(&told));
    }
    let names: Vec<_> = std::fs::read_dir(store.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| *name == "store" || *name == "dir"), "{names:?}");
}

pub(super) fn a_switch_takes_histories_along(store: &Store) {
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
