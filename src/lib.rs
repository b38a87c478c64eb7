//! Strom's flow store. It stores *flows*, JSON documents that describe media pipelines, in PostgreSQL or in one JSON
//! file.
//!
//! [`Storage`](storage::Storage) opens either storage as an `Arc<dyn `[`FlowRepository`]`>`. [`repository`] documents
//! the contract of that trait. [`flow`] defines which documents are valid, and preserves them exactly as they were
//! written.
//!
//! ```
//! use chrono::Utc;
//! use strom_store::repository::{Author, Change, FlowRepositoryExt, Stamp};
//! use strom_store::storage::Storage;
//! use strom_store::Draft;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("flows.json");
//! # let location = path.to_str().unwrap();
//! // A PostgreSQL URL or a path.
//! let flows = Storage::parse(location)?.open(Utc::now()).await?;
//!
//! let flow = Draft::parse(r#"{"name": "Studio 1"}"#)?.into_flow(uuid::Uuid::new_v4().into())?;
//! let stamp = Stamp::new(Utc::now(), Author::new("docs"));
//! flows.apply_one(Change::create(flow.clone()), stamp).await?;
//!
//! let stored = flows.get(flow.id()).await?.expect("the flow was created");
//! assert_eq!(stored.version.revision.number(), 1);
//! # flows.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The store under an engine
//!
//! An engine usually accesses its storage through three functions: `load_all`, `save_flow` and `delete_flow`. The
//! example `examples/engine.rs` implements them with this crate and adds what several writers require. Run it with
//! `cargo run --example engine`.
//!
//! | the engine | uses | result |
//! |---|---|---|
//! | loads all flows at start | [`snapshot`](FlowRepository::snapshot), after it has taken a feed position | all flows as of one moment |
//! | saves an edit | [`Change::replace_at`](repository::Change::replace_at) with the revision that it has read | an edit made elsewhere is never overwritten: [`RepositoryError::Conflict`] contains the current flow |
//! | reports that a flow plays | [`Flow::with_state`], then `replace_at` | the members are stored, the revision stays, no editor receives a conflict |
//! | picks up edits made elsewhere | [`FlowRepositoryExt::follow`] from that position | every change once and in order, also of other processes and of `psql` |
//! | deletes a flow | [`Change::delete`](repository::Change::delete) | the history stays, and the flow can be restored |
//!
//! An engine of version 0.4.9 that writes the same table or file without this crate remains compatible.
//!
//! # Modules
//!
//! | module | content |
//! |---|---|
//! | [`flow`] | the document: parser, canonical form, warnings, difference, patches; no I/O |
//! | [`repository`] | the trait, its types and its contract |
//! | [`storage`] | opens a storage |
//! | [`listing`] | filters, sorts and pages flows in memory |
//! | [`ephemeral`] | a decorator that stores flows with `properties.ephemeral` in memory only |
//! | [`last_known`] | a copy that serves reads while the storage is unreachable |
//!
//! # Features
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `json` | yes | the backend `json` |
//! | `postgres` | yes | the backend `postgres` |
//! | `testkit` | no | the contract of [`FlowRepository`] as test functions, for authors of another backend |
//!
//! Without `json` and `postgres`, the module [`storage`] is absent and the crate contains what another backend needs.
//! The workspace crate `examples/third_backend` is such a backend.

#![deny(clippy::print_stderr, clippy::print_stdout)] // They panic if stdout or stderr is full or closed.

#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only the PostgreSQL backend uses all of it"))]
mod background;
#[cfg_attr(not(feature = "json"), expect(dead_code, reason = "only the JSON backend uses all of it"))]
mod disk;
pub mod envelope;
pub mod ephemeral;
pub mod flow;
#[cfg(feature = "testkit")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "json")]
pub mod json;
pub mod last_known;
pub mod listing;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod repository;
#[cfg(any(feature = "json", feature = "postgres"))]
mod retention_clock;
#[cfg(any(feature = "json", feature = "postgres"))]
pub mod storage;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use ephemeral::Ephemeral;
pub use flow::{Draft, Flow, FlowId, GstState, Head, Refusal};
pub use repository::{FlowRepository, FlowRepositoryExt, RepositoryError};
