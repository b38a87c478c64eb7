//! The log. It goes to stderr, because stdout is for results. `RUST_LOG` sets its filter.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::stderr::Log;

/// The filter of a server: messages and requests of this program, warnings of its dependencies.
pub(crate) const SERVER_FILTER: &str = "warn,strom=info";
/// The filter of a command, which prints its own messages.
pub(crate) const COMMAND_FILTER: &str = "error";

/// Starts the log. Uses the default filter if `RUST_LOG` is blank or invalid.
pub(crate) fn start(default: &str) {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.trim().is_empty());
    let filter = directives.and_then(|directives| EnvFilter::try_new(directives).ok());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default)))
        .with_writer(|| Log)
        .with_ansi(io::stderr().is_terminal())
        // They would be printed with `eprintln!`.
        .log_internal_errors(false)
        .init();
}
