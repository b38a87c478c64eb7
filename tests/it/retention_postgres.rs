//! Retention during concurrent writes, and records that it must not delete.

use std::sync::Arc;

use chrono::TimeDelta;
use strom_store::internals::feed::now;
use strom_store::internals::history::history;
use strom_store::internals::samples::{change, change_all, create_all, flow, flow_with, id, moment, stamp, stored};
use strom_store::postgres::{PostgresRepository, Settings};
use strom_store::repository::{Author, Change, FlowRepository, Precondition, RepositoryError, Retention, Since, Stamp};
use strom_store::testkit::concurrency;

use strom_test_support::postgres::{Database, count, insert_with_times, run};

/// Retains only the current revisions.
const MINIMAL: Retention = Retention { revisions: 1, age: TimeDelta::zero() };

async fn open_with_minimal_retention(database: &Database) -> Arc<PostgresRepository> {
    Arc::new(database.open_with(Settings::default().with_retention(MINIMAL)).await)
}

async fn edit(repository: &dyn FlowRepository, number: u32, seconds: i64) {
    let edit = flow_with(number, "edited", &format!(r#""edit":{seconds}"#));
    change(repository, Change::Put(edit, Precondition::Any), stamp(seconds)).await;
}

/// There are more flows than one statement checks, and more records than one statement deletes, in total and for one
/// flow.
#[tokio::test]
async fn one_round_deletes_all_expired_records() {
    let database = Database::migrated().await;
    let repository = open_with_minimal_retention(&database).await;
    for round in 0..3 {
        let edits = (0..1_200).map(|number| flow_with(number, "many", &format!(r#""edit":{round}"#)));
        let edits = edits.map(|edit| Change::Put(edit, Precondition::Any));
        change_all(&*repository, edits.collect(), stamp(round)).await;
    }
    let mut psql = database.connect().await;
    let edit = format!("UPDATE flows SET data = data || jsonb_build_object('n', n) WHERE id = '{}';", id(7));
    run(&mut psql, &format!("DO $$ BEGIN FOR n IN 1..1300 LOOP {edit} END LOOP; END $$")).await;
    let last = now(&*repository).await;
    run(&mut psql, &format!("UPDATE flows SET name = 'later' WHERE id = '{}'", id(8))).await;
    let before = moment(&*repository).await;
    repository.apply_retention().await.unwrap();
    assert_eq!(moment(&*repository).await, before);
    let retained = count(&mut psql, "SELECT COUNT(*) FROM flow_changes").await;
    assert_eq!(retained, before.len() as i64, "one record per flow");
    assert_eq!(history(&*repository, 7).await[0].revision.number(), 1_303);
    repository.changes(Since::After(last), 10).await.expect("later records are retained");
}

/// A reader must not miss a change that an open transaction holds back.
#[tokio::test]
async fn records_that_the_feed_holds_back_are_retained() {
    let database = Database::migrated().await;
    let repository = open_with_minimal_retention(&database).await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let cursor = now(&*repository).await;
    let mut slow = database.connect().await;
    run(&mut slow, &format!("BEGIN; UPDATE flows SET name = 'slow' WHERE id = '{}'", id(2))).await;
    for seconds in 1..=5 {
        edit(&*repository, 1, seconds).await;
    }
    repository.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 5, "the first record was in the feed, the others are held back");
    run(&mut slow, "COMMIT").await;
    let mut seen = 0;
    while seen < 6 {
        let feed = repository.changes(Since::After(cursor), 10).await.expect("no record is missing");
        seen = feed.changes.len();
        if seen < 6 {
            repository.changed(feed.changes.last().map_or(cursor, |change| change.cursor)).await;
        }
    }
    edit(&*repository, 2, 6).await;
    now(&*repository).await;
    edit(&*repository, 2, 7).await;
    repository.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 1);
}

/// While one instance applies retention, the others skip it instead of waiting.
#[tokio::test]
async fn only_one_instance_at_a_time_applies_retention() {
    let database = Database::migrated().await;
    let repository = open_with_minimal_retention(&database).await;
    for seconds in 0..5 {
        edit(&*repository, 1, seconds).await;
    }
    now(&*repository).await;
    edit(&*repository, 2, 5).await;
    let mut other = database.connect().await;
    run(&mut other, &format!("BEGIN; SELECT pg_advisory_xact_lock({})", 0x52_45_54_41_49_4e_i64)).await;
    repository.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 5);
    run(&mut other, "COMMIT").await;
    repository.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 1);
}

/// Tasks create and delete flows while another task deletes expired records. Revisions have no gaps or duplicates.
#[tokio::test(flavor = "multi_thread")]
async fn revisions_have_no_gaps_while_retention_deletes_history() {
    let database = Database::migrated().await;
    let repository = open_with_minimal_retention(&database).await;
    let applying_retention = tokio::spawn({
        let repository = Arc::clone(&repository);
        async move {
            let mut rounds = 0;
            loop {
                match repository.apply_retention().await {
                    Ok(()) => rounds += 1,
                    Err(RepositoryError::Busy(_)) => {}
                    Err(RepositoryError::Unavailable { .. }) => return rounds,
                    Err(error) => panic!("retention failed: {error:?}"),
                }
            }
        }
    });
    concurrency::concurrent_creations_and_deletions_leave_no_gap_in_revisions(repository.clone()).await;
    edit(&*repository, 3, 1_000).await;
    assert_eq!(stored(&*repository, 3).await.version.revision.number(), 1);
    repository.close().await.unwrap();
    assert!(applying_retention.await.unwrap() > 3, "retention ran concurrently");
}

/// Without the right to delete records, all other calls succeed.
#[tokio::test]
async fn store_works_without_the_right_to_delete_records() {
    let database = Database::migrated().await;
    let repository = open_with_minimal_retention(&database).await;
    for seconds in 0..3 {
        edit(&*repository, 1, seconds).await;
    }
    now(&*repository).await;
    edit(&*repository, 2, 3).await;
    let mut psql = database.connect().await;
    run(
        &mut psql,
        "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS
            $$ BEGIN RAISE insufficient_privilege USING MESSAGE = 'nothing is deleted here'; END $$;
         CREATE TRIGGER refuse BEFORE DELETE ON flow_changes FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let rejected = repository.apply_retention().await;
    assert!(matches!(rejected, Err(RepositoryError::ReadOnly(_))), "{rejected:?}");
    edit(&*repository, 1, 4).await;
    assert_eq!(history(&*repository, 1).await.len(), 4);
}

/// Three flows with three revisions of this moment, one of them deleted.
async fn recent_history(database: &Database) {
    let mut psql = database.connect().await;
    for number in 1..=3 {
        let id = id(number);
        run(&mut psql, &format!("INSERT INTO flows (id, name, data) VALUES ('{id}', 'a', '{{}}')")).await;
        run(&mut psql, &format!("UPDATE flows SET name = 'b' WHERE id = '{id}'")).await;
        run(&mut psql, &format!("UPDATE flows SET name = 'c' WHERE id = '{id}'")).await;
    }
    run(&mut psql, &format!("DELETE FROM flows WHERE id = '{}'", id(3))).await;
}

#[tokio::test]
async fn change_from_the_future_makes_no_other_record_old() {
    let one_day = Retention { revisions: 1, age: TimeDelta::days(1) };
    for by_sql in [true, false] {
        let database = Database::migrated().await;
        let repository = Arc::new(database.open_with(Settings::default().with_retention(one_day)).await);
        recent_history(&database).await;
        now(&*repository).await;
        let mut psql = database.connect().await;
        let before = count(&mut psql, "SELECT COUNT(*) FROM flow_changes").await;
        if by_sql {
            let insert = "INSERT INTO flows (id, name, data, updated_at) VALUES";
            run(&mut psql, &format!("{insert} ('{}', 'future', '{{}}', '2099-01-01')", id(9))).await;
        } else {
            let stamp = Stamp::new("2099-01-01T00:00:00Z".parse().unwrap(), Author::new("tester"));
            change(&*repository, Change::create(flow(9, "future")), stamp).await;
        }
        repository.apply_retention().await.unwrap();
        let faults = repository.health().await.faults;
        assert!(faults.iter().any(|fault| fault.contains("2099-01-01")), "{faults:?}");
        assert_eq!(count(&mut psql, "SELECT COUNT(*) FROM flow_changes").await, before + 1);
        assert_eq!(repository.deleted().await.unwrap().len(), 1, "the trash remains");
    }
}

#[tokio::test]
async fn deletion_pauses_after_a_flow_from_the_future() {
    let database = Database::migrated().await;
    let repository = open_with_minimal_retention(&database).await;
    for seconds in 0..5 {
        edit(&*repository, 1, seconds).await;
    }
    let mut psql = database.connect().await;
    insert_with_times(&mut psql, id(9), "future", "2026-01-01", "infinity").await;
    now(&*repository).await;
    edit(&*repository, 2, 6).await;
    repository.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 5);
    run(&mut psql, &format!("DELETE FROM flows WHERE id = '{}'", id(9))).await;
    edit(&*repository, 2, 7).await;
    // Another instance has not seen the flow from the future.
    let other = open_with_minimal_retention(&database).await;
    other.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 1);
}
