//! The program, started as an operator starts it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running server. Dropping it ends the process.
pub(crate) struct Program {
    pub(crate) child: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Program {
    /// Starts `strom serve` and waits for the line that names its address. The log is in the target directory,
    /// `tmp/LOG.log`.
    pub(crate) fn start(log: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strom"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STROM_")) {
            command.env_remove(name);
        }
        let log = File::create(format!("{}/{log}.log", env!("CARGO_TARGET_TMPDIR"))).unwrap();
        command.args(["serve", "--port", "0"]).args(arguments).env("XDG_CONFIG_HOME", "/nonexistent").stderr(log);
        Self::of(command)
    }

    /// Starts a command that prints its address like `strom serve`.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().rsplit_once("http://").expect("a line that names the address");
        Self { child, address: address.to_owned() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
