//! The commit that a program was built from.

/// The git commit that a program was built from, for `GET /api/version` and the metric `strom_build_info`.
///
/// The program determines it; the library does not, so that a commit does not compile the library again.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    /// Its full hash, or `unknown`.
    pub hash: &'static str,
    /// The tag that points to it, `""` if there is none, or `unknown`.
    pub tag: &'static str,
    /// The branch that was checked out, `HEAD` if there was none, or `unknown`.
    pub branch: &'static str,
    /// Whether a tracked file differed from the commit when the program was compiled.
    pub dirty: bool,
    /// Time of the commit in seconds since 1970, or 0.
    pub seconds: i64,
}

impl Commit {
    /// The value of a build without git.
    pub const UNKNOWN: Self = Self { hash: "unknown", tag: "unknown", branch: "unknown", dirty: false, seconds: 0 };
}

impl Default for Commit {
    fn default() -> Self {
        Self::UNKNOWN
    }
}
