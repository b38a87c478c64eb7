//! The program `strom` as a library: routes, metrics, imports and exports over a [`strom_store::FlowRepository`].

#![deny(clippy::print_stderr, clippy::print_stdout)] // They panic if stdout or stderr is full or closed.

pub mod check;
pub mod claims;
pub mod clock;
pub mod commit;
pub mod http;
pub mod metrics;
pub mod stack;
pub mod transfer;
