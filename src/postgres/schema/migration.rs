//! [`Migration`]: one step of the schema.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::migrate::Migrator;

/// The migrations of this version.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// One step of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Migration {
    /// The number. Migrations are applied in its order.
    pub number: i64,
    /// The subject, in a few words.
    pub description: String,
    /// Whether the database has the migration.
    pub state: MigrationState,
    /// When the migration was applied, by the clock of the database.
    pub applied_at: Option<DateTime<Utc>>,
}

/// Whether a database has a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MigrationState {
    /// The database has it.
    Applied,
    /// The database does not have it yet.
    Pending,
    /// The database has it, but this version does not know it: a newer version has migrated the database.
    Unknown,
    /// The database has a different migration with this number: a modified version, or another program that uses sqlx,
    /// has migrated it.
    Changed,
}

impl fmt::Display for MigrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Changed => "changed",
        })
    }
}

/// The name of the file: `0003 revisions`.
impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {}", self.number, self.description)
    }
}
