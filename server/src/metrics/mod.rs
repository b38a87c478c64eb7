//! The metrics of the program, in the Prometheus text format.
//!
//! | file | contents |
//! |---|---|
//! | `registry` | all metrics of one repository and its clients |
//! | `calls` | calls of a repository, counted and timed |
//! | `observed` | a repository whose calls are counted |
//! | `requests` | HTTP requests, counted and timed |
//! | `streams` | open streams |
//! | `storage` | the state of the storage, read on demand |
//! | `on_demand` | metrics that are read on demand |
//!
//! All names start with `strom_`. docs/monitoring.md describes every metric, and a test compares it. Labels have few
//! values, and the program knows all of them: no name and no id of a flow, no author, no path of a request.
//!
//! The Prometheus project maintains the crate `prometheus-client`. It adds three crates and no second version of any, has
//! typed labels and no global registry, so that two servers in one process count separately. Alternatives: `prometheus` is
//! smaller, but its labels are lists of strings in a fixed order, and its macros use a global registry.
//! `metrics-exporter-prometheus` adds thirteen crates and second versions of three, and expects one recorder per process.

mod calls;
mod observed;
mod on_demand;
mod registry;
mod requests;
mod storage;
mod streams;

pub use self::registry::{CONTENT_TYPE, Metrics};
pub(crate) use self::streams::{OpenStream, StreamKind};
