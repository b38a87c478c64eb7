//! Reads, which fall back to the last-known copy while the storage is unreachable.

use futures::future::BoxFuture;
use strom_store::repository::{FlowRepository, RepositoryError, Result as RepositoryResult};

use crate::clock;
use crate::http::respond::{Problem, StaleHeader};
use crate::stack::{Fallback, Stack};

/// Reads from the storage, or from the last-known copy if the storage is unreachable. The header contains the age of the copy.
///
/// If the copy cannot answer either, the problem is that of the unreachable storage, with the reason of the copy.
pub(crate) async fn read<'a, T>(
    stack: &'a Stack,
    ask: impl Fn(&'a dyn FlowRepository) -> BoxFuture<'a, RepositoryResult<T>>,
) -> Result<(StaleHeader, T), Problem> {
    let error = match ask(&**stack.repository()).await {
        Ok(found) => return Ok((StaleHeader(None), found)),
        Err(error) => error,
    };
    let RepositoryError::Unavailable { retry_after, .. } = error else { return Err(error.into()) };
    let Some(Fallback { last_known, repository: copy }) = stack.fallback() else { return Err(error.into()) };
    // Before the read: the copy may be updated in the meantime, but it never becomes older.
    let Some(age) = last_known.age(clock::now()) else { return Err(error.into()) };
    match ask(&**copy).await {
        Ok(found) => Ok((StaleHeader(Some(age)), found)),
        Err(RepositoryError::Unavailable { reason, .. }) => {
            Err(Problem::unavailable(format!("the storage is unreachable, and {reason}"), retry_after))
        }
        Err(error) => Err(error.into()),
    }
}
