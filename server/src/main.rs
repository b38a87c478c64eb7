//! The program `strom`: parses the arguments, starts the log, runs the command, and returns the exit code.

#![deny(clippy::print_stderr, clippy::print_stdout)] // They panic if stdout or stderr is full or closed.

mod cli;
mod config;
mod stderr;
mod telemetry;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// The exit code of a failure. clap uses the same code for invalid arguments. 1 means a negative result.
const FAILURE: u8 = 2;

fn main() -> ExitCode {
    let command = cli::CommandLine::parse_arguments();
    let _flush = match stderr::start() {
        Ok(flush) => flush,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: cannot start a thread: {error}");
            return ExitCode::from(FAILURE);
        }
    };
    telemetry::start(if command.is_logged() { telemetry::SERVER_FILTER } else { telemetry::COMMAND_FILTER });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let result = runtime.block_on(command.run());
    // Unfinished requests must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(answer) => answer.into(),
        Err(error) => failed(&error),
    }
}

/// Prints an error and returns its exit code.
fn failed(error: &dyn std::error::Error) -> ExitCode {
    stderr::print(&format!("error: {error}\n"));
    ExitCode::from(FAILURE)
}
