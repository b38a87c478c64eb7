//! What the tests stand on: databases and files of their own.

pub mod postgres;
pub mod proxy;
