//! Every command, and everything that any of them may find: exit code, stdout and stderr as a whole.
//!
//! A new command is a line in [`COMMANDS`]; one that is forgotten fails the first test.

use std::fs::File;
use std::process::Stdio;

use super::{Outcome, Store, document, id};
use crate::serve::{outcome, strom};
use crate::support::json::file_of;

/// How a command is called.
struct Command {
    name: &'static str,
    /// What it can be called with; `ID` is the flow that is there, `FILE` its document, `STORE` a store that has it,
    /// `NEW` a file that is not there.
    enough: &'static str,
    /// How clap prints it.
    usage: &'static str,
    /// What it needs and is told of by name.
    required: &'static [&'static str],
    storage: Storage,
}

/// What a command does with the storage that the options name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// It opens it, and writes a result.
    Opens,
    /// As a server does: it goes on.
    Serves,
    /// A file is nothing to it.
    Database,
    /// Nothing.
    None,
}

const fn command(
    name: &'static str,
    enough: &'static str,
    usage: &'static str,
    required: &'static [&'static str],
    storage: Storage,
) -> Command {
    Command { name, enough, usage, required, storage }
}

const COMMANDS: &[Command] = &[
    command("serve", "", "[OPTIONS]", &[], Storage::Serves),
    command("list", "", "[OPTIONS]", &[], Storage::Opens),
    command("get", "ID", "[OPTIONS] <ID>", &["<ID>"], Storage::Opens),
    command("put", "FILE", "[OPTIONS] <FILE>", &["<FILE>"], Storage::Opens),
    command("edit", "ID", "[OPTIONS] <ID>", &["<ID>"], Storage::Opens),
    command("delete", "ID", "[OPTIONS] <ID>...", &["<ID>..."], Storage::Opens),
    command("import", "FILE", "[OPTIONS] <FILE|DIR|->...", &["<FILE|DIR|->..."], Storage::Opens),
    command("export", "", "[OPTIONS]", &[], Storage::Opens),
    command(
        "switch",
        "--from STORE --to NEW --dry-run",
        "[OPTIONS] --from <STORAGE> --to <STORAGE>",
        &["--from <STORAGE>", "--to <STORAGE>"],
        Storage::None,
    ),
    command("history", "ID", "[OPTIONS] <ID>", &["<ID>"], Storage::Opens),
    command("trash", "", "[OPTIONS]", &[], Storage::Opens),
    command("backup", "NEW", "[OPTIONS] <FILE>", &["<FILE>"], Storage::Opens),
    command("restore", "ID --revision 1", "[OPTIONS] <ID|FILE>", &["<ID|FILE>"], Storage::Opens),
    command("diff", "ID", "[OPTIONS] <ID> [FROM] [TO]", &["<ID>"], Storage::Opens),
    command("watch", "", "[OPTIONS]", &[], Storage::Opens),
    command("check", "", "[OPTIONS]", &[], Storage::Opens),
    command("migrate", "", "[OPTIONS] [COMMAND]", &[], Storage::Database),
    command("config", "", "[OPTIONS]", &[], Storage::None),
    command("man", "", "[OPTIONS]", &[], Storage::None),
    command("completions", "bash", "[OPTIONS] <SHELL>", &["<SHELL>"], Storage::None),
    command("openapi", "", "[OPTIONS]", &[], Storage::None),
];

impl Command {
    /// The command line, behind which these come.
    fn line(&self, store: &Store, more: &[&str]) -> Vec<String> {
        let words = self.enough.split_whitespace().map(|word| match word {
            "ID" => id(1),
            "FILE" => store.path("flow.json").display().to_string(),
            "STORE" => store.path("store.json").display().to_string(),
            "NEW" => store.path("new").display().to_string(),
            word => word.to_owned(),
        });
        let more = more.iter().map(|word| (*word).to_owned());
        std::iter::once(self.name.to_owned()).chain(words).chain(more).collect()
    }

    /// What is said of a command line that makes no sense.
    fn refusal(&self, problem: &str) -> Outcome {
        let Self { name, usage, .. } = self;
        let stderr =
            format!("error: {problem}\n\nUsage: strom {name} {usage}\n\nFor more information, try '--help'.\n");
        (Some(2), String::new(), stderr)
    }
}

fn run(line: &[String]) -> Outcome {
    let words: Vec<_> = line.iter().map(String::as_str).collect();
    outcome(&strom(&words, &[("RUST_LOG", "off")]).stdin(Stdio::null()).output().unwrap())
}

/// A store with one flow, whose document is in a file as well.
fn store() -> Store {
    let store = Store::json();
    store.fill(&["a"]);
    store.file("flow.json", &document(1, "a"));
    store.file("store.json", &file_of(&[&document(1, "a")]));
    store
}

#[test]
fn no_command_is_forgotten() {
    let (_, help, _) = run(&["help".to_owned()]);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names = commands.lines().filter(is_name).map(|line| line.split_whitespace().next().unwrap());
    let known: Vec<_> = COMMANDS.iter().map(|command| command.name).chain(["help"]).collect();
    assert_eq!(names.collect::<Vec<_>>(), known);
}

/// A word more than a command takes; those that take any number find that it is none of what they take.
#[test]
fn an_argument_too_many_is_named() {
    let store = store();
    for command in COMMANDS {
        let problem = match command.name {
            "delete" => "invalid value 'superfluous' for '<ID>...': invalid character: found `s` at 0",
            "diff" => "invalid value 'superfluous' for '[FROM]': a revision is a number from 1",
            "migrate" => "unrecognized subcommand 'superfluous'",
            "import" => continue,
            _ => "unexpected argument 'superfluous' found",
        };
        let expected = match problem.starts_with("invalid") {
            true => (Some(2), String::new(), format!("error: {problem}\n\nFor more information, try '--help'.\n")),
            false => command.refusal(problem),
        };
        assert_eq!(run(&command.line(&store, &["superfluous"])), expected, "{}", command.name);
    }
}

#[test]
fn what_is_no_id_is_named() {
    let takes_id = |command: &&Command| command.required.iter().any(|name| name.starts_with("<ID>"));
    let commands: Vec<_> = COMMANDS.iter().filter(takes_id).collect();
    assert_eq!(commands.len(), 5);
    for command in commands {
        let problem = format!("invalid value '17' for '{}': invalid length: found 2", command.required[0]);
        let expected = (Some(2), String::new(), format!("error: {problem}\n\nFor more information, try '--help'.\n"));
        assert_eq!(run(&[command.name.to_owned(), "17".to_owned()]), expected);
    }
}

#[test]
fn an_option_that_is_unknown_is_named() {
    for command in COMMANDS {
        let takes_words = command.usage.split(['[', '<']).any(|word| word.contains("ID") || word.contains("FILE"))
            || command.name == "completions";
        let tip = if takes_words { "\n\n  tip: to pass '--nonsense' as a value, use '-- --nonsense'" } else { "" };
        let problem = format!("unexpected argument '--nonsense' found{tip}");
        assert_eq!(run(&[command.name.to_owned(), "--nonsense".to_owned()]), command.refusal(&problem));
    }
}

#[test]
fn what_is_missing_is_named() {
    for command in COMMANDS.iter().filter(|command| !command.required.is_empty()) {
        let missing: Vec<_> = command.required.iter().map(|name| format!("\n  {name}")).collect();
        let (code, stdout, stderr) = run(&[command.name.to_owned()]);
        let problem = format!(
            "error: the following required arguments were not provided:{}\n\nUsage: strom {} ",
            missing.concat(),
            command.name
        );
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{}", command.name);
        assert!(stderr.starts_with(&problem), "{stderr}");
        assert!(stderr.ends_with("\n\nFor more information, try '--help'.\n"), "{stderr}");
    }
}

/// Those that open a storage say all the same of one that they cannot open.
#[test]
fn storages_that_cannot_be_opened_are_named() {
    let store = store();
    let nonsense = store.file("nonsense.json", "nonsense").display().to_string();
    let directory = store.path("").display().to_string();
    let database = "postgresql://me:hunter2@127.0.0.1:1/flows";
    let storages = [
        (
            ["--flows-path", &nonsense],
            format!(
                "cannot open {nonsense}: `$`: not a JSON file of flows: expected ident at line 1 column 2\nRestore the \
                 file from a backup, or move it away to begin without it."
            ),
        ),
        (
            ["--flows-path", &directory],
            format!("cannot open {directory}: not a file\nName a file; it need not exist yet."),
        ),
        (
            ["--database-url", database],
            "cannot open postgresql://me@127.0.0.1:1/flows: 127.0.0.1:1 does not answer: Connection refused (os error \
             111)\nCheck host and port in the URL, and that PostgreSQL is running there."
                .to_owned(),
        ),
    ];
    for (flags, problem) in &storages {
        let is_file = flags[0] == "--flows-path";
        for command in COMMANDS {
            let opens = match command.storage {
                Storage::Opens => true,
                // Away, a database is waited for.
                Storage::Serves => is_file,
                Storage::Database => !is_file,
                Storage::None => false,
            };
            if opens {
                let expected = (Some(2), String::new(), format!("error: {problem}\n"));
                assert_eq!(run(&command.line(&store, flags)), expected, "{}", command.name);
            }
        }
    }
    assert!(!store.path("new").exists(), "nor is anything made");
}

/// A full disk is a failure; a reader who has left is none.
#[test]
fn results_that_nobody_gets() {
    for command in COMMANDS {
        // These go on until they are stopped; and these say nothing to stdout where there is nothing to say.
        if matches!(command.name, "serve" | "watch" | "diff" | "trash") {
            continue;
        }
        let run_into = |stdout: Stdio| {
            let store = store();
            let line = command.line(&store, &store.flags());
            let words: Vec<_> = line.iter().map(String::as_str).collect();
            let child = strom(&words, &[]).stdin(Stdio::null()).stdout(stdout).spawn().unwrap();
            let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
            (code, stderr)
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let expected = "error: the result cannot be written: No space left on device (os error 28)\n";
        assert_eq!(run_into(full.into()), (Some(2), expected.to_owned()), "{}", command.name);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        // What is no result is on stderr as ever.
        let told = if command.name == "switch" { "nothing was written: this was a dry run\n" } else { "" };
        assert_eq!(run_into(writer.into()), (Some(0), told.to_owned()), "{}", command.name);
    }
}

/// What is read besides the storage.
#[test]
fn inputs_that_cannot_be_read_are_named() {
    let store = store();
    store.file("nonsense.json", "nonsense");
    store.file("empty/none.txt", "");
    for (command, file, problem) in [
        (
            "put",
            "nonsense.json",
            "nonsense.json holds no flow: `$`: not JSON at line 1, column 1: expected a value\nnothing was stored; correct \
             it and try again",
        ),
        (
            "import",
            "nonsense.json",
            "cannot import nonsense.json: not the JSON of flows: expected ident at line 1 column 2\nnothing was stored; \
             correct it and try again",
        ),
        (
            "restore",
            "nonsense.json",
            "cannot restore nonsense.json: it is no archive of Strom\nnothing was stored; take another archive",
        ),
        (
            "put",
            "empty",
            "cannot read empty: Is a directory (os error 21)\ncheck the name and the permissions; `-` is stdin",
        ),
        (
            "import",
            "empty",
            "the directory empty has no files *.json\nname the files themselves where they are called something else",
        ),
        (
            "put",
            "missing.json",
            "cannot read missing.json: No such file or directory (os error 2)\ncheck the name and the permissions; `-` is \
             stdin",
        ),
        (
            "import",
            "missing.json",
            "cannot read missing.json: No such file or directory (os error 2)\ncheck the name and the permissions; `-` is \
             stdin",
        ),
    ] {
        let expected = (Some(2), String::new(), format!("error: {problem}\n"));
        assert_eq!(store.run(&[command, file]), expected, "{command} {file}");
    }
}
