//! A store reports its status and can be closed.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use futures::TryStreamExt;

use super::samples::{create_all, flow, id, stamp};
use crate::repository::{Change, FlowRepository, ListQuery, Precondition, RepositoryError, Revision, Since, Status};

/// An open store is ready and reports its kind and location.
pub async fn open_store_is_ready(repository: Arc<dyn FlowRepository>) {
    let health = repository.health().await;
    assert_eq!(health.status, Status::Ready);
    assert!(!health.kind.is_empty() && !health.location.is_empty());
}

/// A close of a complete store succeeds. After it, every call returns `Unavailable`, no reader waits, and the status
/// says so. Closing twice has no effect.
pub async fn closed_store_rejects_calls(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let feed = repository.changes(Since::Now, 1).await.expect("changes work");
    repository.close().await.expect("the store is complete");
    repository.close().await.expect("the second close has no effect");
    let query = ListQuery::default();
    repository.changed(feed.next).await;
    let answers = [
        repository.get(id(1)).await.err(),
        repository.list(&query).await.err(),
        repository.summaries(&query).await.err(),
        repository.apply_all(vec![Change::delete(id(1))], stamp(1)).await.err(),
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
