//! A text in the editor of whoever sits there.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::Command;

use tokio::task::spawn_blocking;

use super::Failure;
use super::put;
use super::signals::Signals;

/// A file with the text, for its owner alone. It stays, whatever happens, until somebody says that it is not needed.
pub(super) struct Draft {
    path: PathBuf,
    text: String,
}

impl Draft {
    /// `name` is what the name of the file begins with.
    pub(super) fn begin(name: &str, text: String) -> io::Result<Self> {
        let prefix = if name.is_empty() { "flow-".to_owned() } else { format!("{name}-") };
        let mut file = tempfile::Builder::new().prefix(&prefix).suffix(".json").tempfile()?;
        file.write_all(text.as_bytes())?;
        let (_, path) = file.keep()?;
        Ok(Self { path, text })
    }

    /// Shows it in the editor, and waits until that has ended.
    pub(super) async fn edit(&self) -> Result<(), Failure> {
        let editor = editor();
        let mut command = Command::new("sh");
        // As git does it: the variable may have arguments, and whatever else a shell understands. The shell must not end before
        // the editor does.
        let mut script = OsString::from("trap : INT QUIT\n");
        script.push(&editor);
        script.push(" \"$@\"");
        command.arg("-c").arg(script).arg(&editor).arg(&self.path);
        let named = editor.display().to_string();
        // An interrupt is the editor's, which takes it for a key or ends; the text is looked at in either case.
        let mut signals = Signals::listen().map_err(Failure::Signals)?;
        let ended = tokio::select! {
            ended = spawn_blocking(move || command.status()) => ended,
            () = signals.terminated() => return Err(Failure::EditStopped),
        };
        match ended.map_err(io::Error::other).and_then(|ended| ended) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Editor { editor: named, problem: format!("ended with {status}") }),
            Err(error) => Err(Failure::Editor { editor: named, problem: format!("cannot be started: {error}") }),
        }
    }

    /// What was saved.
    pub(super) fn read(&self) -> Result<String, Failure> {
        put::read(&self.path).map_err(|source| Failure::Input { file: self.name(), source })
    }

    /// Whether it is the text that it was.
    pub(super) fn is_unchanged(&self) -> bool {
        fs::read(&self.path).is_ok_and(|found| found == self.text.as_bytes())
    }

    /// The path of the file.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The text is stored, or what it was: nobody needs the file.
    pub(super) fn discard(self) {
        // It is for its owner alone, and gone with the other temporary files.
        let _ = fs::remove_file(&self.path);
    }

    /// The same failure, with where the text is; one that nobody has written is nowhere.
    pub(super) fn kept(self, failure: Failure) -> Failure {
        if self.is_unchanged() {
            self.discard();
            return failure;
        }
        Failure::Kept { failure: Box::new(failure), file: self.name() }
    }
}

/// `$VISUAL`, `$EDITOR` or `vi`.
fn editor() -> OsString {
    let set = |name| env::var_os(name).filter(|value| !value.to_string_lossy().trim().is_empty());
    set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into())
}

/// Whether there is somebody to ask.
pub(super) fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal, where an empty answer is a yes. The end of the input and a signal are none.
pub(super) async fn agrees(question: &str) -> Result<bool, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    eprint!("{question} [Y/n] ");
    let answer = spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|length| (length > 0).then_some(line))
    });
    let answer = tokio::select! {
        answer = answer => answer.ok().and_then(Result::ok).flatten(),
        () = signals.next() => None,
    };
    if answer.is_none() {
        eprintln!();
    }
    Ok(answer.is_some_and(|answer| matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")))
}
