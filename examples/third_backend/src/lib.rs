//! A complete backend in memory that uses only the public API of `strom-store`.
//!
//! It is a template for a backend of your own, and the proof that one can be written outside the crate: its tests run
//! the whole contract. Copy it and replace `state` and `log` by your storage.
//!
//! | file | content |
//! |---|---|
//! | `repository` | [`MemoryRepository`], which implements `FlowRepository` |
//! | `state` | the flows and tombstones at one point in time |
//! | `changes` | what each change does to the state |
//! | `log` | the records of all changes: histories and the change feed |
//! | `retention` | which records expire |
//!
//! The state consists of persistent maps. A clone is cheap and shares everything with the original. A writer therefore
//! changes a clone and publishes it when all changes have succeeded, and a reader keeps the state that it started with.
//!
//! ```
//! use chrono::Utc;
//! use strom_store::repository::{Author, Change, FlowRepositoryExt, Retention, Stamp};
//! use strom_store::{Draft, FlowRepository};
//! use third_backend::MemoryRepository;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let flows = MemoryRepository::new(Utc::now(), Retention::default());
//! let flow = Draft::parse(r#"{"name": "Studio 1"}"#).unwrap().into_flow(uuid::Uuid::new_v4().into()).unwrap();
//! let id = flow.id();
//! flows.apply_one(Change::create(flow), Stamp::new(Utc::now(), Author::new("docs"))).await?;
//! assert_eq!(flows.get(id).await?.unwrap().item.head().name, "Studio 1");
//! # Ok::<(), strom_store::RepositoryError>(())
//! # }).unwrap();
//! ```

mod changes;
mod log;
mod repository;
mod retention;
mod state;

pub use repository::MemoryRepository;
