//! Why a URL is rejected.

/// A problem and its remedy. Neither contains the value of a parameter, which may be secret.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl Problem {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        let example = "A database URL looks like `postgresql://user:password@host:5432/database?sslmode=require`.";
        Self::new(problem, example)
    }
}

impl From<&str> for Problem {
    fn from(problem: &str) -> Self {
        problem.to_owned().into()
    }
}
