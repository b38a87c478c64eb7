//! Strom's flow store: flows, JSON documents that describe media pipelines, in PostgreSQL or in one JSON file.
//!
//! [`Storage`](storage::Storage) opens either as an `Arc<dyn `[`FlowRepository`]`>`; the contract of that trait is
//! written in [`repository`]. A [`Flow`] keeps its document exactly as it was written. [`Ephemeral`] decorates a
//! repository so that flows which say so are in memory alone, as the program does it.
//!
//! ```
//! use strom::repository::{Author, Change, Stamp};
//! use strom::storage::Storage;
//! use strom::{Draft, clock};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("flows.json");
//! # let place = path.to_str().unwrap();
//! // A PostgreSQL URL or a path.
//! let flows = Storage::parse(place)?.open(clock::now()).await?;
//!
//! let flow = Draft::parse(r#"{"name": "Studio 1"}"#)?.into_flow(clock::new_id())?;
//! let stamp = Stamp::new(clock::now(), Author::new("docs"));
//! flows.apply(vec![Change::create(flow.clone())], stamp).await?;
//!
//! let stored = flows.get(flow.id()).await?.expect("it was just created");
//! assert_eq!(stored.version.revision.number(), 1);
//! # flows.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod check;
pub mod clock;
mod disk;
pub mod ephemeral;
pub mod flow;
pub mod http;
pub mod json;
pub mod last_known;
mod listing;
pub mod metrics;
pub mod postgres;
pub mod repository;
pub mod storage;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod transfer;

pub use ephemeral::Ephemeral;
pub use flow::{Draft, Flow, FlowId, GstState, Head, Refusal};
pub use repository::{FlowRepository, RepositoryError};
