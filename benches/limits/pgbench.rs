//! The floors of PostgreSQL: prepared statements sent by pgbench
//! (<https://www.postgresql.org/docs/current/pgbench.html>).

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A statement as pgbench sends it.
pub(crate) struct Script {
    file: tempfile::NamedTempFile,
    url: String,
}

/// The length of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    Seconds(u64),
    Transactions(u64),
}

impl Script {
    /// Creates a script. A colon before a letter starts a variable, even inside a string.
    pub(crate) fn new(url: &str, text: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self { file, url: url.to_owned() }
    }

    /// Returns the time of one transaction: the total time without connecting, divided by the number of transactions.
    pub(crate) fn run(&self, clients: usize, length: Length) -> f64 {
        let mut command = Command::new(program());
        command.args(["--no-vacuum", "--protocol=prepared", "--client", &clients.to_string()]);
        match length {
            Length::Seconds(seconds) => command.args(["--time", &seconds.to_string()]),
            Length::Transactions(count) => command.args(["--transactions", &count.to_string()]),
        };
        command.arg("--file").arg(self.file.path()).arg(&self.url);
        let output = command.output().expect("pgbench, in POSTGRES_BIN or on the path");
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok());
        1.0 / rate.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn program() -> PathBuf {
    std::env::var_os("POSTGRES_BIN").map_or_else(|| "pgbench".into(), |bin| PathBuf::from(bin).join("pgbench"))
}

/// The id of the flow with the number in the variable `n`.
pub(crate) const ID: &str = "('00000000-0000-0000-0000-' || lpad(to_hex(:n::int), 12, '0'))::uuid";
