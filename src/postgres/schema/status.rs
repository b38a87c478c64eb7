//! Reports which migrations a database has.

use futures::FutureExt;

use super::ask::ask_reading;
use super::inspect::{self, verify};
use super::migration::{Migration, MigrationState};
use crate::postgres::connection::{DatabaseUrl, Servers};
use crate::repository::OpenError;

/// The migrations of a database, compared with those of this version.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// All migrations that are applied or pending, by number.
    pub migrations: Vec<Migration>,
    url: DatabaseUrl,
}

impl MigrationStatus {
    /// Whether the database has all migrations of this version. Migrations of a newer version do not matter: this
    /// version works on them.
    pub fn is_up_to_date(&self) -> bool {
        let mut states = self.migrations.iter().map(|migration| migration.state);
        states.all(|state| matches!(state, MigrationState::Applied | MigrationState::Unknown))
    }

    /// Checks that this version can migrate the database further.
    ///
    /// # Errors
    /// [`OpenError`] if an applied migration differs from the migration of this version with the same number.
    pub fn verify(&self) -> Result<(), OpenError> {
        Ok(verify(&self.migrations).map_err(|cause| cause.at(&self.url))?)
    }
}

/// Returns which migrations the database has, which are pending, and which this version does not know. Only reads.
///
/// # Errors
/// [`OpenError`] if no server is reachable, the user has no access or may not read the tables, or the encoding of the
/// database is not UTF-8.
pub async fn migrations(url: &DatabaseUrl) -> Result<MigrationStatus, OpenError> {
    // Read-only: a standby has the same migrations.
    let servers = Servers::new(url, true);
    let (_, found) =
        ask_reading(&servers, url.connect_timeout, |connection| inspect::inspect(connection).boxed()).await?;
    Ok(MigrationStatus { migrations: found.migrations, url: url.clone() })
}
