//! `strom edit`, with editors that are scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Outcome, Store, document, id};
use crate::serve::outcome;

/// Returns `strom edit` with this shell script as editor. The script receives the file as `$2`. Drafts are in `drafts`.
pub(super) fn editor(store: &Store, flags: &[&str], script: &str) -> Command {
    let editor = store.file("editor", &format!("#!/bin/sh\nset -e\n{script}\n"));
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(store.path("drafts")).unwrap();
    let mut command = store.command(&[&["edit", &id(1)], flags].concat());
    command.env("TMPDIR", store.path("drafts")).env("VISUAL", " ").env("EDITOR", format!("{} -x", editor.display()));
    command.env("STROM", env!("CARGO_BIN_EXE_strom")).env("STORAGE", store.flags().join("\n"));
    command
}

fn edit(store: &Store, flags: &[&str], script: &str) -> Outcome {
    run_editor(store, editor(store, flags, script).stdin(Stdio::null()))
}

fn run_editor(store: &Store, command: &mut Command) -> Outcome {
    let (code, stdout, stderr) = outcome(&command.output().unwrap());
    (code, stdout, mask_draft_names(store, stderr))
}

pub(super) fn drafts(store: &Store) -> Vec<PathBuf> {
    fs::read_dir(store.path("drafts")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Replaces the random names of drafts with `DRAFT`.
pub(super) fn mask_draft_names(store: &Store, text: String) -> String {
    drafts(store).iter().fold(text, |text, draft| text.replace(draft.to_str().unwrap(), "DRAFT"))
}

/// Returns a script that saves a document while the editor runs. This fails if `strom edit` holds a lock on the storage.
fn concurrent_save(document: &str) -> String {
    format!(
        r#"IFS='
'; printf '%s' '{document}' | "$STROM" $STORAGE put - > /dev/null"#
    )
}

fn done(stdout: &str) -> Outcome {
    (Some(0), stdout.to_owned(), String::new())
}

/// Returns a script that edits the file with `sed -i`.
pub(super) fn sed(expression: &str) -> String {
    format!("sed '{expression}' \"$2\" > \"$2.new\" && mv \"$2.new\" \"$2\"")
}

pub(super) fn edit_stores_the_edited_text(store: &Store) {
    store.fill(&["Studio 1"]);
    let first = id(1);
    // The file is mask_draft_names after the flow, and only its owner can read it. EDITOR may contain arguments.
    let check_file = r#"[ "$1" = -x ]; case "$(basename "$2")" in studio-1-*.json) ;; *) exit 7;; esac; [ "$(stat -c %a "$2")" = 600 ]"#;
    let unchanged = done(&format!("unchanged  {first}  revision 1\n"));
    assert_eq!(edit(store, &[], check_file), unchanged);
    assert_eq!(
        edit(
            store,
            &[],
            r#"printf '{"name":"Studio 1", "id":"%s"}' "$(sed -n 's/.*"id": "\(.*\)".*/\1/p' "$2")" > "$2.new"; mv "$2.new" "$2""#
        ),
        unchanged,
        "reformatted JSON is unchanged"
    );
    assert_eq!(edit(store, &[], &sed("s/Studio 1/Studio 2/")), done(&format!("replaced  {first}  revision 2\n")));
    assert!(store.done(&["get", &first]).contains("Studio 2"));
    let links = sed(r#"s/{/{"links":[{"from":"x","to":"y"}],/"#);
    let warned = "warning: `$.links[0].from`: no element or block has the id of this end, `x`\nwarning: `$.links[0].to`: no \
                  element or block has the id of this end, `y`\n";
    let stored = (Some(0), format!("replaced  {first}  revision 3\n"), warned.to_owned());
    assert_eq!(edit(store, &[], &links), stored);
    assert!(drafts(store).is_empty());

    store.done(&["delete", &first]);
    let missing = (Some(1), String::new(), format!("there is no flow {first}\n"));
    assert_eq!(edit(store, &[], "exit 7"), missing);
}

pub(super) fn rejected_text_remains_in_the_draft(store: &Store) {
    store.fill(&["a"]);
    let refused = |message: &str| (Some(2), String::new(), format!("error: {message}\nyour text was saved in DRAFT\n"));
    let again = "nothing was stored; correct the input and try again";
    let invalid =
        format!("DRAFT is not a valid flow: `$.name`: not JSON at line 3, column 11: expected a value\n{again}");
    let nameless = format!("DRAFT is not a valid flow: `$.name`: missing\n{again}");
    let other = format!(
        "the id was changed to {}, which is another flow\nnothing was stored; restore the id, or store the text with \
         `strom put`",
        id(2)
    );
    let editor = store.path("editor");
    let failed = format!(
        "the editor `{} -x` exited with exit status: 7\nnothing was stored; to use another editor, set VISUAL or \
         EDITOR",
        editor.display()
    );
    for (script, text, message) in [
        (sed(r#"s/"name": "a"/"name": tru/"#), "tru", invalid),
        (sed("s/name/title/"), "title", nameless),
        (sed("s/001\"/002\"/"), "002", other),
        (sed(r#"s/"a"/"b"/"#) + "\nexit 7", "\"b\"", failed.clone()),
    ] {
        assert_eq!(edit(store, &[], &script), refused(&message));
        let [draft] = drafts(store).try_into().unwrap();
        assert!(fs::read_to_string(&draft).unwrap().contains(text));
        fs::remove_file(draft).unwrap();
    }
    // The editor failed without an edit, so no draft remains.
    assert_eq!(edit(store, &[], "exit 7"), (Some(2), String::new(), format!("error: {failed}\n")));
    assert!(drafts(store).is_empty());
    assert_eq!(store.done(&["history", &id(1)]).lines().count(), 2);
}

pub(super) fn edit_conflict_keeps_the_draft_and_suggests_put(store: &Store) {
    store.fill(&["a"]);
    let (first, theirs) = (id(1), document(1, "theirs"));
    let script = concurrent_save(&theirs) + "\n" + &sed(r#"s/"a"/"mine"/"#);
    let since = format!(
        "the flow {first} is at revision 2, not at 1\nsince then: `name` was changed from \"a\" to \"theirs\"\n"
    );
    let kept = "conflict: `name` was \"a\", is \"mine\" in yours and \"theirs\" in theirs\n\
                nothing was stored; your text was saved in DRAFT\n\
                to overwrite revision 2: strom put --if-revision 2 DRAFT\n";
    assert_eq!(edit(store, &[], &script), (Some(1), String::new(), since + kept));
    assert!(store.done(&["get", &first]).contains("theirs"));
    let [draft] = drafts(store).try_into().unwrap();
    let output = store.done(&["put", "--if-revision", "2", draft.to_str().unwrap()]);
    assert_eq!(output, format!("replaced  {first}  revision 3\n"));
    assert!(store.done(&["get", &first]).contains("mine"));
    fs::remove_file(draft).unwrap();

    let delete = format!("IFS='\n'; \"$STROM\" $STORAGE delete {first} > /dev/null\n{}", sed("s/mine/yours/"));
    let deleted = format!(
        "there is no flow {first}\nnothing was stored; your text was saved in DRAFT\n\
         to store it as a new flow: strom put --new DRAFT\n"
    );
    assert_eq!(edit(store, &[], &delete), (Some(1), String::new(), deleted));
    let [draft] = drafts(store).try_into().unwrap();
    let output = store.done(&["put", "--new", draft.to_str().unwrap()]);
    assert_eq!(output, format!("created  {first}  revision 5\n"));
}

pub(super) fn edit_with_merge_merges_changes_of_different_members(store: &Store) {
    let text = |name: &str, gain: u32| format!(r#"{{"id":"{}","name":"{name}","gain":{gain}}}"#, id(1));
    store.run_with(&["put", "-"], &text("a", 1));
    let first = id(1);
    let since = |to: u32| {
        format!(
            "the flow {first} is at revision {}, not at {to}\nsince then: `gain` was changed from {to} to {}\n",
            to + 1,
            to + 1
        )
    };
    let merged = |revision: u32| {
        format!(
            "your edit of revision {revision} (1 change) was merged with revision {} by cli (1 change)\n",
            revision + 1
        )
    };
    let script = concurrent_save(&text("a", 2)) + "\n" + &sed(r#"s/"a"/"b"/"#);
    let stored = (Some(0), format!("replaced  {first}  revision 3\n"), since(1) + &merged(1));
    assert_eq!(edit(store, &["--merge"], &script), stored);
    let shown = store.done(&["get", &first]);
    assert!(shown.contains("\"b\"") && shown.contains("\"gain\": 2"), "{shown}");

    // Without --merge, the output contains the command for a merge.
    let script = concurrent_save(&text("b", 3)) + "\n" + &sed(r#"s/"b"/"c"/"#);
    let ways = "nothing was stored; your text was saved in DRAFT\n\
                to merge both edits: strom put --merge --if-revision 3 DRAFT\n\
                to overwrite revision 4: strom put --if-revision 4 DRAFT\n";
    let since = format!("the flow {first} is at revision 4, not at 3\nsince then: `gain` was changed from 2 to 3\n");
    assert_eq!(edit(store, &[], &script), (Some(1), String::new(), since.clone() + ways));
    let [draft] = drafts(store).try_into().unwrap();
    let put = |flags: &[&str]| store.run(&[&["put", "--merge", draft.to_str().unwrap()], flags].concat());
    assert_eq!(put(&["--if-revision", "3"]), (Some(0), format!("replaced  {first}  revision 5\n"), since + &merged(3)));
    let shown = store.done(&["get", &first]);
    assert!(shown.contains("\"c\"") && shown.contains("\"gain\": 3"), "{shown}");
    let missing = format!("the flow {first} has no revision 9, or it is no longer retained\n");
    assert_eq!(put(&["--if-revision", "9"]), (Some(1), String::new(), missing));
    assert_eq!(put(&[]).0, Some(2));
}

/// A report changes the document that the editor shows, but creates no revision.
pub(super) fn reports_during_an_edit_are_preserved(store: &Store) {
    store.fill(&["a"]);
    let script =
        concurrent_save(&format!(r#"{{"id":"{}","name":"a","running":true}}"#, id(1))) + "\n" + &sed(r#"s/"a"/"b"/"#);
    assert_eq!(edit(store, &[], &script), done(&format!("replaced  {}  revision 2\n", id(1))));
    let shown = store.done(&["get", &id(1)]);
    assert!(shown.contains("\"b\"") && shown.contains("\"running\": true"), "{shown}");
}

/// A terminal sends SIGINT to every process in the foreground.
#[test]
fn strom_edit_survives_an_interrupt_that_the_editor_handles() {
    let store = Store::json();
    store.fill(&["a"]);
    let script = format!("trap : INT; kill -INT 0; {}", sed(r#"s/"a"/"b"/"#));
    let mut command = editor(&store, &[], &script);
    let stored = run_editor(&store, command.stdin(Stdio::null()).process_group(0));
    assert_eq!(stored, done(&format!("replaced  {}  revision 2\n", id(1))));

    // An editor that exits on SIGINT.
    let script = format!("{}; kill -INT 0; sleep 60", sed(r#"s/"b"/"c"/"#));
    let mut command = editor(&store, &[], &script);
    let (code, stdout, stderr) = run_editor(&store, command.stdin(Stdio::null()).process_group(0));
    let expected = format!(
        "error: the editor `{} -x` exited with exit status: 130\nnothing was stored; to use another editor, set VISUAL \
         or EDITOR\nyour text was saved in DRAFT\n",
        store.path("editor").display()
    );
    assert_eq!((code, stdout, stderr), (Some(2), String::new(), expected));
    assert!(fs::read_to_string(&drafts(&store)[0]).unwrap().contains("\"c\""));
}

#[test]
fn sigterm_during_an_edit_keeps_the_draft() {
    let store = Store::json();
    store.fill(&["a"]);
    // `strom` is the leader of the process group, so the group has its process id.
    let script = r#"strom=$(cut -d ' ' -f 5 /proc/$$/stat); kill -TERM $strom
        while grep -q ') [RSD] ' /proc/$strom/stat; do :; done 2> /dev/null"#;
    let script = format!("{}\n{script}", sed(r#"s/"a"/"b"/"#));
    let stopped = run_editor(&store, editor(&store, &[], &script).stdin(Stdio::null()).process_group(0));
    let expected = "error: stopped by a signal\nnothing was stored\nyour text was saved in DRAFT\n".to_owned();
    assert_eq!(stopped, (Some(2), String::new(), expected));
    assert!(fs::read_to_string(&drafts(&store)[0]).unwrap().contains("\"b\""));
}

#[test]
fn storage_failure_after_an_edit_keeps_the_draft() {
    let store = Store::json();
    store.fill(&["a"]);
    let script = format!("rm -r \"$(printf '%s' \"$STORAGE\" | tail -n 1 | xargs dirname)\"; {}", sed(r#"s/"a"/"b"/"#));
    let (code, stdout, stderr) = edit(&store, &[], &script);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(
        stderr.starts_with("error: there are no flows at ") && stderr.ends_with("\nyour text was saved in DRAFT\n"),
        "{stderr}"
    );
}
