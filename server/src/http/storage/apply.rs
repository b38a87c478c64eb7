//! Applies one change under the precondition of the request. The repository checks the precondition.

use strom_store::flow::Flow;
use strom_store::repository::{
    Applied, Author, Change, FlowRepository, FlowRepositoryExt as _, Precondition, RepositoryError, Result, Stamp,
    Version,
};

use crate::clock;
use crate::http::extract::RequestPrecondition;

/// Applies a change under a precondition that may name several revisions.
pub(crate) async fn apply_if(
    repository: &dyn FlowRepository,
    precondition: &RequestPrecondition,
    change: impl Fn(Precondition) -> Change,
    author: Author,
) -> Result<Applied> {
    let mut attempt = precondition.first();
    loop {
        match apply_one(repository, change(attempt), author.clone()).await {
            Ok(applied) => return Ok(applied),
            Err(error) => attempt = precondition.retry_after(&error).ok_or(error)?,
        }
    }
}

/// Stores a flow and returns its version.
pub(crate) async fn put(
    repository: &dyn FlowRepository,
    flow: Flow,
    precondition: Precondition,
    author: Author,
) -> Result<Version> {
    version(apply_one(repository, Change::Put(flow, precondition), author).await?)
}

/// Applies one change now.
pub(super) async fn apply_one(repository: &dyn FlowRepository, change: Change, author: Author) -> Result<Applied> {
    repository.apply_one(change, Stamp::new(clock::now(), author)).await
}

/// Returns the version of a stored flow.
pub(crate) fn version(applied: Applied) -> Result<Version> {
    applied.version.ok_or_else(|| RepositoryError::Failed("a stored flow without a version".into()))
}
