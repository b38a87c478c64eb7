//! Strom's flow store.

pub mod clock;
pub mod flow;
pub mod postgres;
pub mod repository;

pub use flow::{Draft, Flow, FlowId, GstState, Head, Refusal};
pub use repository::{FlowRepository, RepositoryError};
