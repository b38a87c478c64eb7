//! The error of a setting.

/// An error that names a setting and a remedy. It never contains the value, which may be secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(super) String);
