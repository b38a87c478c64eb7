//! Settings of the PostgreSQL backend.

use super::connection::DatabaseUrl;
use crate::repository::Retention;

/// Settings of the PostgreSQL backend in addition to its URL. The defaults suit a program that must not start without
/// its database.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// How much history the store retains.
    pub retention: Retention,
    /// Where the schema is migrated, if not at the URL of everything else: a pooler that assigns a connection per
    /// transaction cannot hold the locks of a migration.
    pub migrations: Option<DatabaseUrl>,
    /// Whether the repository rejects every change and migrates nothing, as a standby requires.
    pub read_only: bool,
    /// Whether the repository opens while the server is unreachable or its schema is damaged. Calls fail until the server
    /// answers and the schema is repaired.
    pub open_unreachable: bool,
    /// Whether opening the database repairs a damaged schema: disabled and missing triggers, the primary key, and the row of
    /// `flow_log`. Otherwise that damage is an error.
    pub repair: bool,
}

impl Settings {
    /// Sets [`retention`](Self::retention).
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Sets [`migrations`](Self::migrations).
    #[must_use]
    pub fn with_migrations(self, migrations: Option<DatabaseUrl>) -> Self {
        Self { migrations, ..self }
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn with_read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// Sets [`open_unreachable`](Self::open_unreachable).
    #[must_use]
    pub fn with_open_unreachable(self, open_unreachable: bool) -> Self {
        Self { open_unreachable, ..self }
    }

    /// Sets [`repair`](Self::repair).
    #[must_use]
    pub fn with_repair(self, repair: bool) -> Self {
        Self { repair, ..self }
    }
}
