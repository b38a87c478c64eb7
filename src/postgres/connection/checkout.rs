//! [`Connection`]: a connection checked out of the pool. Its drop decides whether it is reused, checked or closed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::OwnedSemaphorePermit;

use super::idle::{IdleConnections, TrackedConnection};

/// The permit for one of the instance's connections, whether it is open yet or not.
pub(crate) type Permit = OwnedSemaphorePermit;

/// A connection checked out of the pool.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `Some` until the drop.
    inner: Option<TrackedConnection>,
    on_drop: OnDrop,
    idle: Arc<IdleConnections>,
    /// Released together with the connection.
    _permit: Permit,
}

#[derive(Debug)]
enum OnDrop {
    /// The call was answered: the next call can use the connection as it is.
    Reuse,
    /// The call was cancelled: sqlx's pool checks the connection before the next use.
    Check,
    /// The connection is unusable.
    Close,
}

impl Connection {
    /// Checks out a connection. A cancelled call closes it if the URL names a pooler: a check through the pooler would
    /// not notice what the call left behind.
    pub(super) fn new(
        inner: TrackedConnection,
        idle: &Arc<IdleConnections>,
        permit: Permit,
        is_behind_pooler: bool,
    ) -> Self {
        let on_drop = if is_behind_pooler { OnDrop::Close } else { OnDrop::Check };
        Self { inner: Some(inner), on_drop, idle: Arc::clone(idle), _permit: permit }
    }

    /// Marks the call as answered: the next call reuses the connection.
    pub(super) fn mark_reusable(&mut self) {
        self.on_drop = OnDrop::Reuse;
    }

    /// Has the connection closed when it drops.
    pub(crate) fn close_on_drop(&mut self) {
        self.on_drop = OnDrop::Close;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner.as_ref().expect("present until the drop").connection
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner.as_mut().expect("present until the drop").connection
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        match self.on_drop {
            OnDrop::Reuse => self.idle.push(inner),
            OnDrop::Check => drop(inner),
            OnDrop::Close => inner.close_now(),
        }
    }
}
