//! Errors of the input of an import.

use std::io;

/// An error that prevents reading an input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The input contains only white space.
    #[error("the input is empty")]
    Empty,
    /// The input is not JSON, or has none of the supported shapes.
    #[error("{0}")]
    Malformed(String),
    /// A document or the number of documents exceeds a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The input cannot be read.
    #[error("the input ended early: {0}")]
    Broken(#[source] io::Error),
    /// The temporary file cannot be written.
    #[error("the temporary file: {0}")]
    NotKept(#[from] io::Error),
}
