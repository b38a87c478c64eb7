//! Errors of `strom switch`.

use std::io;

use strom_server::transfer::switch::SwitchError;

/// An error of `strom switch`, with a remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchFailure {
    #[error("`{0}` is both the source and the target\nuse two different storages")]
    SameStorage(String),
    #[error("there are no flows at the source {0}\nset --from to an existing file")]
    MissingSource(String),
    #[error("{0}\nremove the cause, then repeat the switch: it skips flows that were already moved")]
    Failed(#[from] SwitchError),
    #[error("cannot write the receipt to `{path}`: {source}\nnothing was moved; set another path with --receipt")]
    UnusableReceipt { path: String, source: io::Error },
    #[error(
        "all flows were moved, but the receipt cannot be written to `{path}`: {source}\nrepeat the switch with \
         another path for --receipt: it finds the flows unchanged and writes the receipt"
    )]
    Receipt { path: String, source: io::Error },
}
