//! Errors of queries.

/// A query that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuery {
    /// A sort key that does not exist.
    #[error("flows are sorted by `name`, `created_at` or `updated_at`, not by `{0}`")]
    UnknownSortKey(String),
    /// A sort key that occurs twice.
    #[error("the sort key `{0}` occurs twice")]
    RepeatedSortKey(&'static str),
    /// U+0000 in the text to search for in names.
    #[error("a name cannot contain the character U+0000")]
    NulInName,
}
