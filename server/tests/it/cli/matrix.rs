//! Every command with every kind of invalid input: complete exit code, stdout and stderr.
//!
//! Each command is an entry of [`COMMANDS`]. A missing entry fails the first test.

use std::fs::File;
use std::process::Stdio;

use super::{Outcome, Store, document, id};
use crate::serve::{outcome, strom};
use strom_test_support::json::file_of;

/// A command with valid arguments and its usage line.
struct Command {
    name: &'static str,
    /// Valid arguments. `ID` is an existing flow, `FILE` its document, `STORE` a file with this flow, and `NEW` a path that
    /// does not exist.
    /// not exist.
    valid_arguments: &'static str,
    /// The usage line of clap.
    usage: &'static str,
    /// The required arguments, as clap names them.
    required: &'static [&'static str],
    storage: Storage,
}

/// How a command uses the storage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// Opens the storage and prints a result.
    Opens,
    /// Opens the storage and runs until a signal.
    Serves,
    /// Uses only a database.
    Database,
    /// Does not use the storage.
    None,
}

const fn command(
    name: &'static str,
    valid_arguments: &'static str,
    usage: &'static str,
    required: &'static [&'static str],
    storage: Storage,
) -> Command {
    Command { name, valid_arguments, usage, required, storage }
}

const COMMANDS: &[Command] = &[
    command("serve", "--port 0", "[OPTIONS]", &[], Storage::Serves),
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
    command("undo-edit", "", "[OPTIONS]", &[], Storage::Opens),
    command("diff", "ID", "[OPTIONS] <ID> [FROM] [TO]", &["<ID>"], Storage::Opens),
    command("watch", "", "[OPTIONS]", &[], Storage::Opens),
    command("check", "", "[OPTIONS]", &[], Storage::Opens),
    command("migrate", "", "[OPTIONS] [COMMAND]", &[], Storage::Database),
    command("health", "", "[OPTIONS]", &[], Storage::None),
    command("config", "", "[OPTIONS]", &[], Storage::None),
    command("man", "", "[OPTIONS]", &[], Storage::None),
    command("completions", "bash", "[OPTIONS] <SHELL>", &["<SHELL>"], Storage::None),
    command("openapi", "", "[OPTIONS]", &[], Storage::None),
];

impl Command {
    /// Returns the valid command line, followed by these arguments.
    fn line(&self, store: &Store, more: &[&str]) -> Vec<String> {
        let words = self.valid_arguments.split_whitespace().map(|word| match word {
            "ID" => id(1),
            "FILE" => store.path("flow.json").display().to_string(),
            "STORE" => store.path("store.json").display().to_string(),
            "NEW" => store.path("new").display().to_string(),
            word => word.to_owned(),
        });
        let more = more.iter().map(|word| (*word).to_owned());
        std::iter::once(self.name.to_owned()).chain(words).chain(more).collect()
    }

    /// Returns the outcome for invalid arguments.
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

/// Returns a store with one flow, and files for the placeholders of [`COMMANDS`].
fn store() -> Store {
    let store = Store::json();
    store.fill(&["a"]);
    store.file("flow.json", &document(1, "a"));
    store.file("store.json", &file_of(&[&document(1, "a")]));
    store
}

#[test]
fn the_matrix_lists_every_command() {
    let (_, help, _) = run(&["help".to_owned()]);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names = commands.lines().filter(is_name).map(|line| line.split_whitespace().next().unwrap());
    let known: Vec<_> = COMMANDS.iter().map(|command| command.name).chain(["help"]).collect();
    assert_eq!(names.collect::<Vec<_>>(), known);
}

/// `import` is omitted because it accepts any number of paths.
#[test]
fn an_additional_argument_is_rejected() {
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
fn an_invalid_id_is_rejected() {
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
fn an_unknown_option_is_rejected() {
    for command in COMMANDS {
        let takes_words = command.usage.split(['[', '<']).any(|word| word.contains("ID") || word.contains("FILE"))
            || command.name == "completions";
        let tip = if takes_words { "\n\n  tip: to pass '--nonsense' as a value, use '-- --nonsense'" } else { "" };
        let problem = format!("unexpected argument '--nonsense' found{tip}");
        assert_eq!(run(&[command.name.to_owned(), "--nonsense".to_owned()]), command.refusal(&problem));
    }
}

#[test]
fn a_missing_argument_is_rejected() {
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

/// Every command that opens a storage prints the same error if the storage cannot be opened.
#[test]
fn commands_report_storages_that_cannot_be_opened() {
    let store = store();
    let nonsense = store.file("nonsense.json", "nonsense").display().to_string();
    let directory = store.path("").display().to_string();
    let database = "postgresql://me:hunter2@127.0.0.1:1/flows";
    let storages = [
        (
            ["--flows-path", &nonsense],
            format!(
                "cannot open {nonsense}: `$`: not a JSON file of flows: expected ident at line 1 column 2\nRestore \
                 the file from a backup, or move the file to another path to start without it."
            ),
        ),
        (
            ["--flows-path", &directory],
            format!("cannot open {directory}: not a file\nUse the path of a file. The file need not exist."),
        ),
        (
            ["--database-url", database],
            "cannot open postgresql://me@127.0.0.1:1/flows: 127.0.0.1:1 is unreachable: Connection refused (os error \
             111)\nCheck host and port in the URL, and that PostgreSQL is running there."
                .to_owned(),
        ),
    ];
    for (flags, problem) in &storages {
        let is_file = flags[0] == "--flows-path";
        for command in COMMANDS {
            let opens = match command.storage {
                Storage::Opens => true,
                // The server waits for an unreachable database.
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
    assert!(!store.path("new").exists(), "a failed command creates no files");
}

/// A full disk is a failure. A closed pipe is not an error: its reader has read valid_arguments.
#[test]
fn full_disk_exits_with_2_and_closed_pipe_with_0() {
    for command in COMMANDS {
        // These commands run until a signal, need a server, or print nothing to stdout here.
        if matches!(command.name, "serve" | "watch" | "diff" | "trash" | "undo-edit" | "health") {
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
        let expected = "error: cannot write the result: No space left on device (os error 28)\n";
        assert_eq!(run_into(full.into()), (Some(2), expected.to_owned()), "{}", command.name);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        // Messages are printed to stderr even if stdout is closed.
        let notice = if command.name == "switch" { "nothing was written: this was a dry run\n" } else { "" };
        assert_eq!(run_into(writer.into()), (Some(0), notice.to_owned()), "{}", command.name);
    }
}

#[test]
fn commands_report_inputs_that_cannot_be_read() {
    let store = store();
    store.file("nonsense.json", "nonsense");
    store.file("empty/none.txt", "");
    for (command, file, problem) in [
        (
            "put",
            "nonsense.json",
            "nonsense.json is not a valid flow: `$`: not JSON at line 1, column 1: expected a value\nnothing was \
             stored; correct the input and try again",
        ),
        (
            "import",
            "nonsense.json",
            "cannot import nonsense.json: not valid JSON of flows: expected ident at line 1 column 2\nnothing was \
             stored; correct the input and try again",
        ),
        (
            "restore",
            "nonsense.json",
            "cannot restore nonsense.json: not an archive of Strom\nnothing was stored; use another archive",
        ),
        (
            "put",
            "empty",
            "cannot read empty: Is a directory (os error 21)\ncheck the path and the permissions; `-` is stdin",
        ),
        (
            "import",
            "empty",
            "the directory empty contains no *.json files\nfor other file names, pass the files instead of the \
             directory",
        ),
        (
            "put",
            "missing.json",
            "cannot read missing.json: No such file or directory (os error 2)\ncheck the path and the permissions; \
             `-` is stdin",
        ),
        (
            "import",
            "missing.json",
            "cannot read missing.json: No such file or directory (os error 2)\ncheck the path and the permissions; \
             `-` is stdin",
        ),
    ] {
        let expected = (Some(2), String::new(), format!("error: {problem}\n"));
        assert_eq!(store.run(&[command, file]), expected, "{command} {file}");
    }
}
