//! A database that went back in time: a standby that lagged was promoted. Changes of the lost future are unknown.

use std::sync::Arc;

use strom_store::FlowRepository;
use strom_store::internals::feed;
use strom_store::internals::samples::{change, create_all, flow, id, stamp, stored};
use strom_store::repository::{
    Change, FlowRepositoryExt as _, Operation, Precondition, RepositoryError, Revision, Since,
};

use strom_test_support::cluster::Cluster;
use strom_test_support::pair::caught_up;
use strom_test_support::postgres::{run, wait_for_count};

#[tokio::test(flavor = "multi_thread")]
async fn lost_changes_are_unknown_after_the_promotion_of_a_lagging_standby() {
    let primary = Cluster::start(&[]).await;
    let repository = primary.repository().await;
    create_all(&*repository, [flow(1, "one"), flow(2, "two")]).await;
    let standby = primary.standby().await;
    caught_up(&mut primary.connect().await, &mut standby.connect().await).await;
    let shared = feed::end(&*repository).await;

    // The standby receives nothing any more.
    let mut psql = standby.connect().await;
    run(&mut psql, "ALTER SYSTEM SET primary_conninfo = ''").await;
    run(&mut psql, "SELECT pg_reload_conf()").await;
    wait_for_count(&mut psql, "SELECT COUNT(*) FROM pg_stat_wal_receiver", 0).await;
    for edit in 2..=4 {
        change(&*repository, Change::replace(flow(1, &format!("lost {edit}"))), stamp(edit)).await;
    }
    change(&*repository, Change::delete(id(2)), stamp(5)).await;
    let lost = feed::end(&*repository).await;
    repository.close().await.unwrap();
    primary.stop().await;
    standby.promote().await;

    let repository: Arc<dyn FlowRepository> = standby.repository().await;
    assert_eq!(stored(&*repository, 1).await.version.revision, Revision::FIRST);
    let answer = repository.changes(Since::After(lost), 10).await;
    assert!(matches!(answer, Err(RepositoryError::Gone)), "{answer:?}");
    for edit in 2..=4 {
        change(&*repository, Change::replace(flow(1, &format!("edit {edit}"))), stamp(edit)).await;
        // A client that has read a lost change.
        for revision in 2..=4 {
            let stale = Change::Put(flow(1, "stale"), Precondition::At(Revision::new(revision)));
            let answer = repository.apply_all(vec![stale], stamp(9)).await;
            assert!(matches!(answer, Err(RepositoryError::Conflict(_))), "{answer:?}");
        }
    }
    change(&*repository, Change::delete(id(2)), stamp(5)).await;
    // Readers that had read no lost change continue.
    let changes = feed::operations(&feed::read(&*repository, Since::After(shared)).await);
    let expected = [
        (1, Operation::Update, 1002),
        (1, Operation::Update, 1003),
        (1, Operation::Update, 1004),
        (2, Operation::Delete, 1002),
    ];
    assert_eq!(changes, expected);
    repository.close().await.unwrap();
}
