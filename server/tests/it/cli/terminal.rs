//! Colours and progress are printed on a terminal only.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::editing::{drafts, editor, mask_draft_names, sed};
use super::{Store, document, id};

/// Runs a command on a terminal. Returns its output; the command must succeed.
fn shown(mut command: Command) -> String {
    let (code, shown) = run_on_terminal(command.stdin(Stdio::null()), None);
    assert_eq!(code, Some(0));
    shown
}

/// Opens a terminal. Returns its screen and keyboard, and the side of the programs. Closing the first closes the terminal.
pub(crate) fn open_terminal() -> (File, File) {
    let screen = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap());
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
    (screen, options.open(OsStr::from_bytes(name.as_bytes())).unwrap())
}

/// Runs a command on a terminal with this input. Returns the exit code, and the output including the echoed input.
fn run_on_terminal(command: &mut Command, typed: Option<&str>) -> (Option<i32>, String) {
    let (mut screen, terminal) = open_terminal();
    let (out, err) = (terminal.try_clone().unwrap(), terminal.try_clone().unwrap());
    if let Some(typed) = typed {
        screen.write_all(typed.as_bytes()).unwrap();
        command.stdin(terminal.try_clone().unwrap());
    }
    let mut child = command.stdout(out).stderr(err).spawn().unwrap();
    // The child processes hold the terminal open as well.
    drop(terminal);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = screen.read(&mut piece) {
        all.extend_from_slice(&piece[..length]);
    }
    (child.wait().unwrap().code(), String::from_utf8_lossy(&all).into_owned())
}

fn command(store: &Store, arguments: &[&str]) -> Command {
    let mut command = store.command(arguments);
    command.env("TERM", "xterm");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn terminal_output_is_coloured_unless_no_color_is_set() {
    let store = Store::json();
    store.fill(&["a"]);
    assert!(shown(command(&store, &["list"])).starts_with("\u{1b}[1mID  "));
    let mut without = command(&store, &["list"]);
    without.env("NO_COLOR", "1");
    assert!(shown(without).starts_with("ID  "));
    assert!(store.done(&["list"]).starts_with("ID  "), "output to a pipe has no colours");
}

#[test]
fn import_and_export_show_progress_on_a_terminal() {
    let store = Store::json();
    store.file("a.json", &document(1, "a"));
    let import = shown(command(&store, &["import", "a.json"]));
    assert!(import.contains("reading: "), "{import}");
    assert!(import.ends_with("created 1, replaced 0, unchanged 0, skipped 0, cloned 0, refused 0\r\n"), "{import}");
    let export = shown(command(&store, &["export", "-o", "b.json"]));
    assert!(export.contains("writing: "), "{export}");
    let to_terminal = shown(command(&store, &["export"]));
    assert!(to_terminal.starts_with("{\r\n  \"version\": 1,"), "{to_terminal}");
}

/// After invalid text, `strom edit` asks whether to open the editor again. With `n`, the draft remains.
#[test]
fn edit_offers_to_reopen_invalid_text() {
    let store = Store::json();
    store.fill(&["a"]);
    let broken = sed(r#"s/"a"/tru/"#);
    let script = format!("if grep -q tru \"$2\"; then {}; else {broken}; fi", sed(r#"s/tru/"b"/"#));
    let edit = |script: &str, typed: &str| {
        let mut command = editor(&store, &[], script);
        let (code, shown) = run_on_terminal(&mut command, Some(typed));
        (code, mask_draft_names(&store, shown.replace("\r\n", "\n")))
    };
    let question = "error: DRAFT is not a valid flow: `$.name`: not JSON at line 3, column 11: expected a value\nnothing was stored; \
                correct the input and try again\nedit it again? [Y/n] ";
    let kept = "error: the text was not corrected\nnothing was stored\nyour text was saved in DRAFT\n";
    assert_eq!(edit(&broken, "n\n"), (Some(2), format!("n\n{question}{kept}")));
    let [draft] = drafts(&store).try_into().unwrap();
    assert!(fs::read_to_string(&draft).unwrap().contains("tru"));
    fs::remove_file(draft).unwrap();

    // The name of the deleted draft is random, so the output is not compared as a whole.
    let (code, shown) = edit(&script, "\n");
    assert_eq!(code, Some(0), "{shown}");
    let end = format!("edit it again? [Y/n] replaced  {}  revision 2\n", id(1));
    assert!(shown.starts_with("\nerror: ") && shown.ends_with(&end), "{shown}");
    assert_eq!(drafts(&store).len(), 0);
}
