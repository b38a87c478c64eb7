//! What has to be true before a database is used: one of its servers will do, and the schema is up to date. Demanded at the
//! start, and again whenever the database has been away: it may then be another server, or one that was restored from a
//! dump.
//!
//! At most one connection at a time, and none when it is done.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::migrate::bring_up_to_date;
use super::migrations::{self, Migration};
use super::open_error::{Failure, Problem};
use super::servers::{Found, Servers};
use super::{DatabaseUrl, Settings};
use crate::repository::OpenError;

/// Finds a server that will do, and brings its schema up to date; who only reads has to find it so.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) servers: Servers,
    migrations: Option<Servers>,
    only_reads: bool,
}

/// A database that can be used.
pub(super) struct Started {
    pub(super) server: PgConnectOptions,
    applied: Vec<Migration>,
}

/// Brings the schema up to date, or finds that it is, and says what was applied. What a start does before it opens its
/// pool, and safe at any time from any number of processes.
///
/// `direct` is where to migrate when not at `url`; see [`Settings::migrations`]. It is only asked when something is
/// missing.
///
/// # Errors
/// [`OpenError`]: no answer, no access, no right to read or, with something to do, to change the schema; a database that
/// is not in UTF-8; a migration that failed, of which nothing was kept; a migration of another make.
pub async fn migrate(url: &DatabaseUrl, direct: Option<&DatabaseUrl>) -> Result<Vec<Migration>, OpenError> {
    let start = Start::new(url, &Settings { migrations: direct.cloned(), ..Settings::default() });
    Ok(start.run(url.connect_timeout).await?.applied)
}

impl Start {
    pub(super) fn new(url: &DatabaseUrl, settings: &Settings) -> Self {
        let migrations = settings.migrations.as_ref().map(|url| Servers::new(url, false));
        Self { servers: Servers::new(url, settings.read_only), migrations, only_reads: settings.read_only }
    }

    /// Gives the server to connect to. Servers that do not answer are waited for so long.
    pub(super) async fn run(&self, patience: Duration) -> Result<Started, Failure> {
        if self.only_reads {
            let checked = self.servers.ask(patience, |connection| migrations::check_reading(connection).boxed());
            let (server, ()) = checked.await?;
            return Ok(Started { server, applied: Vec::new() });
        }
        let (server, found) = self.servers.ask(patience, |connection| migrations::find(connection).boxed()).await?;
        found.tell_unknown();
        let failed = |problem: Problem| problem.at(self.servers.url());
        if found.is_complete().map_err(failed)? {
            return Ok(Started { server, applied: Vec::new() });
        }
        let direct = self.migrations.as_ref().unwrap_or(&self.servers);
        if direct.is_pooled() {
            return Err(Problem::Pooled.at(direct.url()));
        }
        let (_, applied) = direct.ask(patience, |connection| bring_up_to_date(connection).boxed()).await?;
        if self.migrations.is_some() {
            let (_, found) = self.servers.ask(patience, |connection| migrations::find(connection).boxed()).await?;
            if !found.is_complete().map_err(failed)? {
                return Err(failed(Problem::Elsewhere(direct.url().to_string())));
            }
        }
        Ok(Started { server, applied })
    }
}

impl Servers {
    /// Asks the server that will do, on a connection that is closed afterwards, which gives back its locks, whatever
    /// happened.
    pub(super) async fn ask<T>(
        &self,
        patience: Duration,
        question: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Problem>>,
    ) -> Result<(PgConnectOptions, T), Failure> {
        let Found { server, mut connection } =
            self.find(patience).await.map_err(|problem| Problem::from(problem).at(self.url()))?;
        let answer = question(&mut connection).await;
        let _ = connection.close().await;
        answer.map(|answer| (server, answer)).map_err(|problem| problem.at(self.url()))
    }
}
