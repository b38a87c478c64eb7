//! Strom's flow store.

pub mod clock;
pub mod flow;
pub mod json;
pub mod repository;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use flow::{Draft, Flow, FlowId, GstState, Head, Refusal};
pub use repository::{FlowRepository, RepositoryError};
