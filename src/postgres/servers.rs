//! The servers of the URL: finds the one that is there and does what is wanted.

use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::DatabaseUrl;
use super::ping::ping;
use super::session::{self, Role};
use super::tls;
use super::url::{Wanted, address};

/// Where a connection may go.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    url: DatabaseUrl,
    pub(super) wanted: Wanted,
}

/// A server that will do, and a session on it.
pub(super) struct Found {
    pub(super) server: PgConnectOptions,
    pub(super) connection: PgConnection,
}

/// Why none of the servers will do.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFound {
    #[error("{address} does not answer: {source}")]
    Silent { address: String, source: std::io::Error },
    #[error("{address} takes longer than {seconds} s to let us in")]
    Slow { address: String, seconds: u64 },
    #[error("{address} {is}")]
    Unfit { address: String, is: &'static str },
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

impl Servers {
    /// Those of the URL. Where it names several and does not say which will do, one that can be written, except for
    /// somebody who never writes.
    pub(super) fn new(url: &DatabaseUrl, only_reads: bool) -> Self {
        let default = if url.servers().len() > 1 && !only_reads { Wanted::ReadWrite } else { Wanted::Any };
        Self { url: url.clone(), wanted: url.wanted.unwrap_or(default) }
    }

    /// The first of them, before anybody has looked which will do.
    pub(super) fn first(&self) -> &PgConnectOptions {
        &self.url.servers()[0]
    }

    /// Their URL.
    pub(super) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// How long it may take to connect to one of them.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.url.connect_timeout
    }

    /// Whether a pooler hands out a connection for each transaction.
    pub(super) fn is_pooled(&self) -> bool {
        self.url.is_pooled
    }

    /// Connects to the first in the order of the URL that answers within this time and does what is wanted. Those that do
    /// not answer cost no more than one of them.
    ///
    /// # Errors
    /// The first reason that says more than silence.
    pub(super) async fn find(&self, patience: Duration) -> Result<Found, NotFound> {
        let answers = join_all(self.url.servers().iter().map(|server| ping(server, patience))).await;
        let mut reason = None;
        let mut second_best = None;
        for (server, answer) in self.url.servers().iter().zip(answers) {
            let silent = |source| NotFound::Silent { address: address(server), source };
            let connected = match answer.map_err(silent) {
                Ok(()) => self.connect(server).await,
                Err(silent) => Err(silent),
            };
            match connected {
                Ok((connection, role)) if self.wanted == Wanted::PreferStandby && !role.is_standby => {
                    second_best.get_or_insert(Found { server: server.clone(), connection });
                }
                Ok((connection, role)) if role.fits(self.wanted) => {
                    return Ok(Found { server: server.clone(), connection });
                }
                Ok((connection, role)) => {
                    let _ = connection.close().await;
                    let is = unfit(&role, self.wanted);
                    reason.replace(NotFound::Unfit { address: address(server), is });
                }
                Err(error) => match &reason {
                    None | Some(NotFound::Silent { .. }) => reason = Some(error),
                    Some(_) => {}
                },
            }
        }
        second_best.ok_or_else(|| reason.unwrap_or_else(|| sqlx::Error::PoolTimedOut.into()))
    }

    async fn connect(&self, server: &PgConnectOptions) -> Result<(PgConnection, Role), NotFound> {
        let patience = self.connect_timeout();
        let connecting = async {
            let mut connection = server.connect().await?;
            let role = if self.is_pooled() {
                let mut transaction = connection.begin().await?;
                let role = session::prepare(&mut transaction, true).await?;
                transaction.clear_cached_statements().await?;
                transaction.commit().await?;
                role
            } else {
                session::prepare(&mut connection, false).await?
            };
            Ok((connection, role))
        };
        timeout(patience, connecting)
            .await
            .unwrap_or_else(|_| Err(NotFound::Slow { address: address(server), seconds: patience.as_secs() }))
    }
}

/// What a server is that will not do.
pub(super) fn unfit(role: &Role, wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Standby | Wanted::ReadOnly => "can be written, and `target_session_attrs` wants one that cannot",
        _ if role.is_standby => "is a standby, and `target_session_attrs` wants one that can be written",
        _ => "is read-only, and `target_session_attrs` wants one that can be written",
    }
}

impl NotFound {
    /// Whether nobody is there who could let us in, or not yet or no longer: it may pass by itself. Everything else is
    /// an answer, and somebody has to do something.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Slow { .. } | Self::Unfit { .. } => true,
            Self::Sqlx(error) => is_absence(error),
        }
    }
}

/// As [`NotFound::is_absence`]. Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn is_absence(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) if tls::is_refused_certificate(error) => false,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut => true,
        // No connection, no room for one more, shutting down or starting.
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}
