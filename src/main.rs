//! The command `strom`: parse, telemetry, run, exit code.

mod cli;
mod config;
mod telemetry;

use std::process::ExitCode;
use std::time::Duration;

/// Something failed; 1 is for negative answers (`cli::Answer`), and clap takes 2 for arguments it does not understand.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let cli = cli::Cli::from_arguments();
    telemetry::start(if cli.is_long() { telemetry::OF_SERVER } else { telemetry::OF_COMMAND });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let done = runtime.block_on(cli.run());
    // Requests that outlive the server's patience do not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match done {
        Ok(answer) => answer.into(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(FAILED)
}
