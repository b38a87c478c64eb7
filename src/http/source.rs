//! What is served: a repository, and while it is away its last known flows.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use super::App;
use super::problem::Problem;
use crate::clock;
use crate::ephemeral::Ephemeral;
use crate::last_known::LastKnown;
use crate::repository::{self, FlowRepository, RepositoryError};

/// Where flows come from: an `Arc<dyn FlowRepository>`, or a [`LastKnown`], which is then read while what it follows is
/// away.
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) repository: Arc<dyn FlowRepository>,
    pub(super) last_known: Option<LastKnown>,
    /// What is read while the repository is away: the last known flows, and the ephemeral ones.
    copy: Option<Arc<dyn FlowRepository>>,
}

impl Source {
    /// The same, with its [ephemeral flows](crate::ephemeral) in memory alone, whether what it comes from answers or not.
    /// Their revisions begin with this time.
    ///
    /// Not for a repository that was opened to read only: memory would take changes that it refuses.
    pub fn with_ephemeral(self, now: DateTime<Utc>) -> Self {
        let ephemeral = Ephemeral::over(self.repository, now);
        let copy = self.copy.map(|copy| Arc::new(ephemeral.beside(copy)) as Arc<dyn FlowRepository>);
        Self { repository: Arc::new(ephemeral), copy, ..self }
    }

    /// The same with another view of the repository, such as one whose calls are counted.
    pub(super) fn map(self, view: impl FnOnce(Arc<dyn FlowRepository>) -> Arc<dyn FlowRepository>) -> Self {
        Self { repository: view(self.repository), ..self }
    }
}

impl From<Arc<dyn FlowRepository>> for Source {
    fn from(repository: Arc<dyn FlowRepository>) -> Self {
        Self { repository, last_known: None, copy: None }
    }
}

impl From<LastKnown> for Source {
    fn from(last_known: LastKnown) -> Self {
        let repository = Arc::clone(last_known.followed());
        Self { repository, copy: Some(Arc::new(last_known.clone())), last_known: Some(last_known) }
    }
}

/// The header of an answer that comes from the last known flows: how many seconds ago they were what is stored, at most.
/// Nothing for all other answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stale(Option<Duration>);

const STROM_STALE: HeaderName = HeaderName::from_static("strom-stale");

impl IntoResponseParts for Stale {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Some(age) = self.0 {
            let begun = u64::from(age.subsec_nanos() > 0);
            parts.headers_mut().insert(STROM_STALE, HeaderValue::from(age.as_secs() + begun));
        }
        Ok(parts)
    }
}

impl App {
    /// Asks the storage; when that is away, asks the last known flows. What they cannot tell is as unavailable as the
    /// storage is, and the answer says why.
    pub(super) async fn read<'a, T>(
        &'a self,
        ask: impl Fn(&'a dyn FlowRepository) -> BoxFuture<'a, repository::Result<T>>,
    ) -> Result<(Stale, T), Problem> {
        let error = match ask(&*self.source.repository).await {
            Ok(found) => return Ok((Stale(None), found)),
            Err(error) => error,
        };
        let RepositoryError::Unavailable { retry_after, .. } = error else { return Err(error.into()) };
        let (Some(last_known), Some(copy)) = (&self.source.last_known, &self.source.copy) else {
            return Err(error.into());
        };
        // Before they are asked: they may become younger meanwhile, never older.
        let Some(age) = last_known.age(clock::now()) else { return Err(error.into()) };
        match ask(&**copy).await {
            Ok(found) => Ok((Stale(Some(age)), found)),
            Err(RepositoryError::Unavailable { reason, .. }) => {
                Err(Problem::unavailable(format!("the storage does not answer just now, and {reason}"), retry_after))
            }
            Err(error) => Err(error.into()),
        }
    }
}
