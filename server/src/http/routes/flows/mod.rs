//! The routes of single flows, and the list. One file per method.

pub(crate) mod check;
pub(crate) mod check_document;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod engine;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod post;
pub(crate) mod properties;
pub(crate) mod put;
mod replace;
pub(crate) mod state;
