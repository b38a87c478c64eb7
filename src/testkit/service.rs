//! A store says how it is, and ends when it is told to.

use std::sync::Arc;

use futures::TryStreamExt;

use super::samples::{create_all, flow, id, stamp};
use crate::repository::{Change, FlowRepository, ListQuery, RepositoryError, Status};

/// An open store is ready, and says what and where it is.
pub async fn an_open_store_is_ready(repository: Arc<dyn FlowRepository>) {
    let health = repository.health().await;
    assert_eq!(health.status, Status::Ready);
    assert!(!health.kind.is_empty() && !health.location.is_empty());
}

/// After the close every call fails as unavailable, and the store says so; to close twice is no error.
pub async fn a_closed_store_refuses_calls(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    repository.close().await;
    repository.close().await;
    let query = ListQuery::default();
    let answers = [
        repository.get(id(1)).await.err(),
        repository.list(&query).await.err(),
        repository.summaries(&query).await.err(),
        repository.apply(vec![Change::delete(id(1))], stamp(1)).await.err(),
        repository.snapshot().try_collect::<Vec<_>>().await.err(),
    ];
    for (index, answer) in answers.iter().enumerate() {
        assert!(matches!(answer, Some(RepositoryError::Unavailable { .. })), "call {index}: {answer:?}");
    }
    assert!(matches!(repository.health().await.status, Status::Unavailable(_)));
}
