//! The listening socket and its connections.

mod admission;
mod connection;
mod parse_error;
mod serve;
mod track;

pub use serve::{GRACE, serve};
