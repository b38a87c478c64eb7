//! Moving flows: imports of files, arrays, single flows and NDJSON, and all flows of one storage into another; all or
//! nothing.
//!
//! | file | what |
//! |---|---|
//! | `import` | reads, checks, decides, stores |
//! | `options` | how, and who is told how it gets on |
//! | `documents` | where the documents of an input begin and end |
//! | `spool` | where they wait |
//! | `changes` | what the repository is asked to do |
//! | `prune` | flows that the import does not have |
//! | `rivals` | flows that cannot run beside each other |
//! | `report` | what came of each flow |
//! | `switch` | from one storage into another, with times and revisions |
//!
//! ```
//! use std::sync::Arc;
//!
//! use strom::repository::{Author, Stamp};
//! use strom::storage::Storage;
//! use strom::transfer::{Import, OnConflict, Options};
//! use strom::clock;
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
//! # flows.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changes;
mod documents;
mod import;
mod options;
mod prune;
mod report;
mod rivals;
mod spool;
pub mod switch;

pub use documents::InputError;
pub use import::{Import, MAX_FLOWS, Reading};
pub use options::{OnConflict, Options, Progress, Prune, UnknownPolicy};
pub use report::{Counts, FlowReport, FlowWarning, Outcome, Report};
