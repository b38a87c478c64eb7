//! The PostgreSQL backend.
//!
//! - `connection` selects a server, maintains at most five connections, and fails calls fast during an outage.
//! - `schema` inspects and migrates the schema before a database is used.
//! - `flows` reads and writes the table `flows`.
//! - `history` reads the revisions and the change feed, and deletes expired records.
//!
//! Each method of [`FlowRepository`](crate::repository::FlowRepository) is one statement if possible. The compiler
//! checks every statement against the committed `.sqlx`. Triggers in `migrations/` enforce what must hold for every
//! writer: columns that agree with the document, revisions, folded names.
//!
//! Two things are missing on purpose: SQL that is assembled from strings (except in the repair of a damaged schema), and
//! transactions that a caller could hold open.

mod connection;
mod error;
mod flows;
mod history;
mod repository;
mod schema;
mod settings;
mod sqlstate;
#[cfg(feature = "testkit")]
#[doc(hidden)]
pub mod testing;
mod time;
mod watch;

pub use connection::DatabaseUrl;
pub use repository::PostgresRepository;
pub use schema::{Migration, MigrationState, MigrationStatus, migrate, migrations};
pub use settings::Settings;
