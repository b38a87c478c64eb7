//! Runs an editor on a temporary file.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::failure::Failure;
use super::input::read_document;
use super::signals::Signals;
use crate::stderr;

/// A temporary file with the text to edit, readable by its owner only. It remains until [`discard`](Self::discard).
pub(super) struct Draft {
    path: PathBuf,
    text: String,
}

impl Draft {
    /// Creates the file. Its name starts with `name`.
    pub(super) fn create(name: &str, text: String) -> io::Result<Self> {
        let prefix = if name.is_empty() { "flow-".to_owned() } else { format!("{name}-") };
        let mut file = tempfile::Builder::new().prefix(&prefix).suffix(".json").tempfile()?;
        file.write_all(text.as_bytes())?;
        let (_, path) = file.keep()?;
        Ok(Self { path, text })
    }

    /// Runs the editor and waits until it exits.
    pub(super) async fn edit(&self) -> Result<(), Failure> {
        let editor = editor();
        let mut command = Command::new("sh");
        // As git does: the variable may contain arguments and shell syntax. The trap keeps the shell running until the
        // editor exits.
        let mut script = OsString::from("trap : INT QUIT\n");
        script.push(&editor);
        script.push(" \"$@\"");
        command.arg("-c").arg(script).arg(&editor).arg(&self.path);
        let named = editor.display().to_string();
        // The editor handles an interrupt. The text is read in any case.
        let mut signals = Signals::listen().map_err(Failure::Signals)?;
        let ended = tokio::select! {
            ended = spawn_blocking(move || command.status()) => ended,
            () = signals.terminated() => return Err(Failure::StoppedBeforeStoring),
        };
        // The runtime may not have dispatched an interrupt that arrived before the editor ended. It dispatches signals
        // before it fires a timer, so a listener that is created later does not receive this interrupt.
        sleep(Duration::from_millis(1)).await;
        match ended.map_err(io::Error::other).and_then(|ended| ended) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Editor { editor: named, problem: format!("exited with {status}") }),
            Err(error) => Err(Failure::Editor { editor: named, problem: format!("cannot be started: {error}") }),
        }
    }

    /// Returns the edited text.
    pub(super) fn read(&self) -> Result<String, Failure> {
        read_document(&self.path).map_err(|source| Failure::Input { file: self.name(), source })
    }

    /// Whether the text was not changed.
    pub(super) fn is_unchanged(&self) -> bool {
        fs::read(&self.path).is_ok_and(|found| found == self.text.as_bytes())
    }

    /// Returns the path of the file.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Deletes the file.
    pub(super) fn discard(self) {
        // The operating system deletes temporary files eventually.
        let _ = fs::remove_file(&self.path);
    }

    /// Adds the path of the file to an error, or deletes an unchanged file.
    pub(super) fn keep(self, failure: Failure) -> Failure {
        if self.is_unchanged() {
            self.discard();
            return failure;
        }
        Failure::DraftKept { failure: Box::new(failure), file: self.name() }
    }
}

/// Returns `$VISUAL`, `$EDITOR` or `vi`.
fn editor() -> OsString {
    let set = |name| env::var_os(name).filter(|value| !value.to_string_lossy().trim().is_empty());
    set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into())
}

/// Whether the command can ask the operator.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question on the terminal. An empty line means yes. The end of input and a signal mean no.
pub(super) async fn confirm(question: &str) -> Result<bool, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    stderr::print(&format!("{question} [Y/n] "));
    let answer = spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|length| (length > 0).then_some(line))
    });
    let answer = tokio::select! {
        answer = answer => answer.ok().and_then(Result::ok).flatten(),
        _ = signals.next() => None,
    };
    if answer.is_none() {
        stderr::print("\n");
    }
    Ok(answer.is_some_and(|answer| matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")))
}
