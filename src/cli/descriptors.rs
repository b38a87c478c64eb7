//! How many files and connections the process may have open.

/// As many as it may have without asking for more rights. What it begins with, often 1,024, is meant for programs that wait
/// with `select`, which we do not, and is fewer than there may be streams.
/// Source: <https://0pointer.net/blog/file-descriptor-limits.html>.
#[cfg(unix)]
pub(super) fn allow_all() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(not(unix))]
pub(super) fn allow_all() {}
