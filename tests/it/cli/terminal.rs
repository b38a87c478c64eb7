//! Colours and progress: on a terminal, and nowhere else.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Store, document};

/// What a terminal is shown by a command that ends well.
fn shown(mut command: Command) -> String {
    let mut screen = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
    let (out, err) = (terminal.try_clone().unwrap(), terminal);
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
    // It has the terminal as well, which ends when nobody has it any more.
    drop(command);
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = screen.read(&mut piece) {
        all.extend_from_slice(&piece[..length]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    String::from_utf8_lossy(&all).into_owned()
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
fn colours_are_for_terminals_that_want_them() {
    let store = Store::json();
    store.fill(&["a"]);
    assert!(shown(command(&store, &["list"])).starts_with("\u{1b}[1mID  "));
    let mut without = command(&store, &["list"]);
    without.env("NO_COLOR", "1");
    assert!(shown(without).starts_with("ID  "));
    assert!(store.done(&["list"]).starts_with("ID  "), "a pipe has none");
}

#[test]
fn long_work_shows_how_it_gets_on() {
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
