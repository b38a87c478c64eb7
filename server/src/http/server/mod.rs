//! The listening socket and its connections.

mod connection;
mod serve;

pub use serve::{GRACE, serve};
