//! The checks before a database is used: one of its servers is suitable, and the schema is up to date. They run at
//! start, and again after each outage: the URL may then lead to another server, or to one that was restored from a
//! dump.
//!
//! They use at most one connection at a time, and none when they are done.

use std::time::Duration;

use futures::FutureExt;
use sqlx::postgres::PgConnectOptions;

use super::ask::{ask, ask_reading};
use super::inspect::{check_readable, inspect};
use super::migrate::apply_pending;
use super::migration::Migration;
use super::open_error::{Cause, OpenFailure};
use super::repair::{begin_log, repair};
use crate::postgres::connection::{DatabaseUrl, Servers};
use crate::postgres::settings::Settings;
use crate::repository::OpenError;

/// The checks and migrations of a start.
#[derive(Debug)]
pub(crate) struct Startup {
    pub(crate) servers: Servers,
    /// Where to migrate, if not on `servers`.
    migration_servers: Option<Servers>,
    /// The schema must be up to date already.
    read_only: bool,
    /// Whether to repair a damaged schema.
    repair: bool,
}

/// The outcome of a start: a database that is ready for use.
pub(crate) struct Started {
    pub(crate) server: PgConnectOptions,
    applied: Vec<Migration>,
}

/// Applies the pending migrations, and returns them. This is what a start does before it opens the pool. Any number of
/// processes may call it at any time.
///
/// `direct` is where to migrate, if not at `url`; see [`Settings::migrations`]. It is used only if migrations are
/// pending.
///
/// # Errors
/// [`OpenError`] in these cases:
///
/// - No server is reachable, or the user has no access.
/// - The user may not read the tables, or may not change the schema although migrations are pending.
/// - The encoding of the database is not UTF-8.
/// - A migration failed. Nothing of it was kept.
/// - The schema is damaged: tables, triggers or other objects are missing or disabled.
/// - An applied migration differs from the migration of this version with the same number.
pub async fn migrate(url: &DatabaseUrl, direct: Option<&DatabaseUrl>) -> Result<Vec<Migration>, OpenError> {
    let startup = Startup::new(url, &Settings::default().with_migrations(direct.cloned()));
    Ok(startup.run(url.connect_timeout).await?.applied)
}

impl Startup {
    pub(crate) fn new(url: &DatabaseUrl, settings: &Settings) -> Self {
        let migration_servers = settings.migrations.as_ref().map(|url| Servers::new(url, false));
        let Settings { read_only, repair, .. } = *settings;
        Self { servers: Servers::new(url, read_only), migration_servers, read_only, repair }
    }

    /// Checks and migrates the database. Waits at most `limit` for the answer of a server.
    pub(crate) async fn run(&self, limit: Duration) -> Result<Started, OpenFailure> {
        if self.read_only {
            let (server, ()) =
                ask_reading(&self.servers, limit, |connection| check_readable(connection).boxed()).await?;
            return Ok(Started { server, applied: Vec::new() });
        }
        let (server, found) = ask_reading(&self.servers, limit, |connection| inspect(connection).boxed()).await?;
        found.log_unknown();
        let failure = |cause: Cause| cause.at(self.servers.url());
        let direct = self.migration_servers.as_ref().unwrap_or(&self.servers);
        let damage = found.damage.clone();
        if !damage.is_empty() {
            if !self.repair || damage.iter().any(|damage| damage.repair().is_none()) {
                return Err(failure(Cause::Damaged(damage)));
            }
            ask(direct, limit, |connection| async move { repair(connection, &damage).await }.boxed()).await?;
        }
        if found.is_complete().map_err(failure)? {
            return Ok(Started { server, applied: Vec::new() });
        }
        if direct.is_behind_pooler() {
            return Err(Cause::Pooler.at(direct.url()));
        }
        let (_, applied) = ask(direct, limit, |connection| apply_pending(connection).boxed()).await?;
        if self.migration_servers.is_some() {
            let (_, found) = ask_reading(&self.servers, limit, |connection| inspect(connection).boxed()).await?;
            if !found.is_complete().map_err(failure)? {
                return Err(failure(Cause::MigratedElsewhere(direct.url().to_string())));
            }
        }
        Ok(Started { server, applied })
    }

    /// Begins a log after a time in which changes were possible that the history does not contain. A read-only instance
    /// leaves that to the other instances.
    pub(crate) async fn begin_log(&self, limit: Duration) -> Result<(), OpenFailure> {
        if !self.read_only {
            ask_reading(&self.servers, limit, |connection| begin_log(connection).boxed()).await?;
        }
        Ok(())
    }
}
