//! The limit of open file descriptors.

/// Raises the soft limit to the hard limit. The usual soft limit of 1,024 protects programs that use `select`, which this
/// program does not, and is below the maximum number of streams.
/// Source: <https://0pointer.net/blog/file-descriptor-limits.html>.
#[cfg(unix)]
pub(super) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

#[cfg(not(unix))]
pub(super) fn raise_limit() {}
