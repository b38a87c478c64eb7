//! What the tests stand on: databases and files of their own.

pub(crate) mod json;
pub(crate) mod postgres;
pub(crate) mod proxy;
