//! The servers of a URL, and the selection of one that is reachable and suitable.

use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::ping::{PING_TIMEOUT, ping};
use super::selection_error::{SelectionError, unsuitable_reason};
use super::session;
use super::target::{ServerRole, TargetSessionAttrs};
use super::url::{DatabaseUrl, address};

/// The servers of a URL, and which of them are suitable.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    url: DatabaseUrl,
    pub(crate) target: TargetSessionAttrs,
}

/// A suitable server, and a session on it.
pub(crate) struct SelectedServer {
    pub(crate) server: PgConnectOptions,
    pub(crate) connection: PgConnection,
}

impl Servers {
    /// Takes the servers from the URL. If it names several without `target_session_attrs`, a writer needs a writable
    /// one.
    pub(crate) fn new(url: &DatabaseUrl, read_only: bool) -> Self {
        let default =
            if url.servers().len() > 1 && !read_only { TargetSessionAttrs::ReadWrite } else { TargetSessionAttrs::Any };
        Self { url: url.clone(), target: url.target.unwrap_or(default) }
    }

    /// Returns the first server, suitable or not.
    pub(super) fn first(&self) -> &PgConnectOptions {
        &self.url.servers()[0]
    }

    pub(crate) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Returns the time limit for connecting to one server.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.url.connect_timeout
    }

    /// Returns the time limit for a probe. The operator of a slow server or network sets a longer `connect_timeout`.
    pub(super) fn probe_timeout(&self) -> Duration {
        PING_TIMEOUT.max(self.connect_timeout() / 5)
    }

    /// Whether a pooler assigns a connection per transaction.
    pub(crate) fn is_behind_pooler(&self) -> bool {
        self.url.is_behind_pooler
    }

    /// Connects to the first suitable server, in the order of the URL, that answers within `limit`. All servers are
    /// probed at once, so that unreachable servers together cost no more time than one.
    ///
    /// # Errors
    /// The first reason that is more specific than "unreachable".
    pub(crate) async fn select(&self, limit: Duration) -> Result<SelectedServer, SelectionError> {
        let answers = join_all(self.url.servers().iter().map(|server| ping(server, limit))).await;
        let mut reason = None;
        let mut fallback = None;
        for (server, answer) in self.url.servers().iter().zip(answers) {
            let unreachable = |source| SelectionError::Unreachable { address: address(server), source };
            let connected = match answer.map_err(unreachable) {
                Ok(()) => self.connect(server).await,
                Err(error) => Err(error),
            };
            match connected {
                Ok((connection, role)) if self.target == TargetSessionAttrs::PreferStandby && !role.is_standby => {
                    fallback.get_or_insert(SelectedServer { server: server.clone(), connection });
                }
                Ok((connection, role)) if role.satisfies(self.target) => {
                    return Ok(SelectedServer { server: server.clone(), connection });
                }
                Ok((connection, role)) => {
                    let _ = connection.close().await;
                    let unsuitable = unsuitable_reason(&role, self.target);
                    reason.replace(SelectionError::Unsuitable { address: address(server), reason: unsuitable });
                }
                Err(error) => match &reason {
                    None | Some(SelectionError::Unreachable { .. }) => reason = Some(error),
                    Some(_) => {}
                },
            }
        }
        fallback.ok_or_else(|| reason.unwrap_or_else(|| sqlx::Error::PoolTimedOut.into()))
    }

    async fn connect(&self, server: &PgConnectOptions) -> Result<(PgConnection, ServerRole), SelectionError> {
        let limit = self.connect_timeout();
        let connecting = async {
            let mut connection = server.connect().await?;
            let role = if self.is_behind_pooler() {
                let mut transaction = connection.begin().await?;
                let role = session::configure(&mut transaction, true).await?;
                transaction.clear_cached_statements().await?;
                transaction.commit().await?;
                role
            } else {
                session::configure(&mut connection, false).await?
            };
            Ok((connection, role))
        };
        timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| Err(SelectionError::Timeout { address: address(server), seconds: limit.as_secs() }))
    }
}
