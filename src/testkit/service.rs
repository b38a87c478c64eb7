//! A store says how it is, and ends when it is told to.

use std::sync::Arc;

use futures::TryStreamExt;

use super::samples::{create_all, flow, id, stamp};
use crate::repository::{Change, FlowRepository, ListQuery, Precondition, RepositoryError, Revision, Since, Status};

/// An open store is ready, and says what and where it is.
pub async fn an_open_store_is_ready(repository: Arc<dyn FlowRepository>) {
    let health = repository.health().await;
    assert_eq!(health.status, Status::Ready);
    assert!(!health.kind.is_empty() && !health.location.is_empty());
}

/// After the close every call fails as unavailable, nobody waits for changes, and the store says so; to close twice is no
/// error.
pub async fn a_closed_store_refuses_calls(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let place = repository.changes(Since::Now, 1).await.expect("changes work");
    repository.close().await;
    repository.close().await;
    let query = ListQuery::default();
    repository.changed(place.next).await;
    let answers = [
        repository.get(id(1)).await.err(),
        repository.list(&query).await.err(),
        repository.summaries(&query).await.err(),
        repository.apply(vec![Change::delete(id(1))], stamp(1)).await.err(),
        repository.snapshot().try_collect::<Vec<_>>().await.err(),
        repository.history(id(1), None, 1).await.err(),
        repository.revision(id(1), Revision::FIRST).await.err(),
        repository.deleted().await.err(),
        repository.restore(id(1), Revision::FIRST, Precondition::Any, stamp(1)).await.err(),
        repository.changes(Since::Oldest, 1).await.err(),
        repository.change_summaries(Since::Now, 1).await.err(),
    ];
    for (index, answer) in answers.iter().enumerate() {
        assert!(matches!(answer, Some(RepositoryError::Unavailable { .. })), "call {index}: {answer:?}");
    }
    assert!(matches!(repository.health().await.status, Status::Unavailable(_)));
}
