//! The routes, one file per resource. Each file contains the handler and its description for the OpenAPI document.

pub(crate) mod auth_status;
pub(crate) mod catalog;
pub(crate) mod changes;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod fallback;
pub(crate) mod flows;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod import;
mod import_report;
pub(crate) mod metrics;
pub(crate) mod ready;
pub(crate) mod restore;
pub(crate) mod revision;
pub(crate) mod socket;
pub(crate) mod sources;
pub(crate) mod trash;
pub(crate) mod version;
