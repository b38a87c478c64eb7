//! The kind of problem of each error in the body of an import.

use std::env;
use std::io::ErrorKind;

use super::document::Problem;
use super::status::ProblemKind;
use crate::http::extract::import_body::{MAX_IMPORT, MAX_PAUSE};
use crate::transfer::InputError;

impl From<InputError> for Problem {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Empty => Self::new(ProblemKind::InvalidBody, "the body is empty"),
            InputError::Malformed(detail) => Self::new(ProblemKind::InvalidBody, detail),
            InputError::TooLarge(detail) => Self::new(ProblemKind::TooLarge, detail),
            InputError::Broken(error) => match error.kind() {
                ErrorKind::TimedOut => {
                    Self::new(ProblemKind::SlowBody, format!("no data received for {} seconds", MAX_PAUSE.as_secs()))
                }
                ErrorKind::FileTooLarge => Self::new(
                    ProblemKind::TooLarge,
                    format!("the body has over {MAX_IMPORT} bytes; import it in parts"),
                ),
                _ => Self::new(ProblemKind::InvalidBody, "the body ended early"),
            },
            InputError::NotKept(error) => {
                tracing::error!(%error, directory = %env::temp_dir().display(), "cannot write the import to a \
                    temporary file");
                Self::unavailable(
                    "nothing was written; the server cannot write the import to a temporary file",
                    MAX_PAUSE,
                )
            }
        }
    }
}
