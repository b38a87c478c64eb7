//! Moves flows: imports of files, arrays, single flows and NDJSON; and switches from one storage to another. Each is all or
//! nothing.
//!
//! | file | contents |
//! |---|---|
//! | `import` | compares, decides, stores |
//! | `import_reader` | reads and checks the inputs |
//! | `documents`, `location`, `input_error` | splits an input into documents |
//! | `spool` | a temporary file for documents |
//! | `item` | a document and the decision about it |
//! | `changes` | the change list for the repository |
//! | `prune` | stored flows that the import does not contain |
//! | `claims` | flows that claim the same port, name or device |
//! | `options`, `progress` | options, and the progress observer |
//! | `replacements` | the documents that replace existing flows, which keep reports |
//! | `report` | the outcome of each flow |
//! | `switch` | moves all flows of a storage, with revisions and times |
//!
//! ```
//! use std::sync::Arc;
//!
//! use strom_store::repository::{Author, Stamp};
//! use strom_store::storage::Storage;
//! use strom_server::transfer::{Import, OnConflict, Options};
//! use strom_server::clock;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("flows.json");
//! # let flows = Storage::parse(path.to_str().unwrap())?.open(clock::now()).await?;
//! let input = r#"[{"id": "6f1d3c5e-0000-4000-8000-000000000001", "name": "Studio 1"}]"#;
//! let import = Import::read(input.as_bytes(), Arc::new(()))?;
//! let options = Options { on_conflict: OnConflict::Skip, ..Options::default() };
//! let stamp = Stamp::new(clock::now(), Author::new("docs"));
//! let report = import.run(&*flows, options, |_| clock::new_id(), stamp).await?;
//! assert_eq!(report.counts.created, 1);
//! # flows.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changes;
mod claims;
mod documents;
mod import;
mod import_reader;
mod input_error;
mod item;
mod location;
mod options;
mod progress;
mod prune;
mod replacements;
mod report;
mod spool;
pub mod switch;

pub use self::import::Import;
pub use self::import_reader::{ImportReader, MAX_FLOWS};
pub use self::input_error::InputError;
pub use self::options::{OnConflict, Options, Prune, UnknownPolicy};
pub use self::progress::Progress;
pub use self::report::{Counts, FlowReport, FlowWarning, Outcome, Report};
