//! The log: on stderr, so that stdout stays for results. `RUST_LOG` says how much.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Of a server: every request and what we have to say; of others only what is wrong.
pub(crate) const OF_SERVER: &str = "warn,strom=info";
/// Of a command, which says by itself what happens.
pub(crate) const OF_COMMAND: &str = "error";

/// Starts it. A `RUST_LOG` that is blank or cannot be read counts as not set, and then the default holds.
pub(crate) fn start(default: &str) {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.trim().is_empty());
    let filter = given.and_then(|directives| EnvFilter::try_new(directives).ok());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default)))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}
