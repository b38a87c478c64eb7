//! What retention does beside those who write, and what it leaves alone.

use std::sync::Arc;

use chrono::TimeDelta;
use strom::postgres::{PostgresRepository, Settings};
use strom::repository::{Change, FlowRepository, Precondition, RepositoryError, Retention, Since};
use strom::testkit::concurrency;
use strom::testkit::feed::now;
use strom::testkit::history::history;
use strom::testkit::samples::{change, change_all, create_all, flow, flow_with, id, moment, stamp, stored};

use crate::support::postgres::{Database, count, run};

/// Nothing but what is.
const LITTLE: Retention = Retention { revisions: 1, age: TimeDelta::zero() };

async fn keeping_little(database: &Database) -> Arc<PostgresRepository> {
    Arc::new(database.open_with(Settings { retention: LITTLE, ..Settings::default() }).await)
}

async fn edit(repository: &dyn FlowRepository, number: u32, seconds: i64) {
    let edit = flow_with(number, "edited", &format!(r#""edit":{seconds}"#));
    change(repository, Change::Put(edit, Precondition::Any), stamp(seconds)).await;
}

/// More flows than one statement looks at, and more records than it deletes, of one flow and of all.
#[tokio::test]
async fn a_round_ends_when_all_has_gone() {
    let database = Database::migrated().await;
    let repository = keeping_little(&database).await;
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
    let kept = count(&mut psql, "SELECT COUNT(*) FROM flow_changes").await;
    assert_eq!(kept, before.len() as i64, "one of each");
    assert_eq!(history(&*repository, 7).await[0].revision.number(), 1_303);
    repository.changes(Since::After(last), 10).await.expect("nothing behind it has gone");
}

/// Whoever has not seen a change because something else may still come before it must not miss it.
#[tokio::test]
async fn what_the_feed_has_not_shown_stays() {
    let database = Database::migrated().await;
    let repository = keeping_little(&database).await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let place = now(&*repository).await;
    let mut slow = database.connect().await;
    run(&mut slow, &format!("BEGIN; UPDATE flows SET name = 'slow' WHERE id = '{}'", id(2))).await;
    for seconds in 1..=5 {
        edit(&*repository, 1, seconds).await;
    }
    repository.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 5, "the first one was shown");
    run(&mut slow, "COMMIT").await;
    let mut seen = 0;
    while seen < 6 {
        let feed = repository.changes(Since::After(place), 10).await.expect("nothing was missed");
        seen = feed.changes.len();
        if seen < 6 {
            repository.changed(feed.changes.last().map_or(place, |change| change.cursor)).await;
        }
    }
    edit(&*repository, 2, 6).await;
    now(&*repository).await;
    edit(&*repository, 2, 7).await;
    repository.apply_retention().await.unwrap();
    assert_eq!(history(&*repository, 1).await.len(), 1);
}

/// One instance is enough; the others do not wait for it.
#[tokio::test]
async fn one_instance_at_a_time_lets_go() {
    let database = Database::migrated().await;
    let repository = keeping_little(&database).await;
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

/// Flows that come, go and come back while all that may go goes at once: no revision is given twice, none left out.
#[tokio::test(flavor = "multi_thread")]
async fn revisions_count_on_while_their_history_goes() {
    let database = Database::migrated().await;
    let repository = keeping_little(&database).await;
    let letting_go = tokio::spawn({
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
    concurrency::creations_and_deletions_count_on(repository.clone()).await;
    edit(&*repository, 3, 1_000).await;
    assert_eq!(stored(&*repository, 3).await.version.revision.number(), 1);
    repository.close().await;
    assert!(letting_go.await.unwrap() > 3, "it was at work meanwhile");
}

/// Without rights to delete everything else goes on.
#[tokio::test]
async fn a_store_that_keeps_everything_is_still_a_store() {
    let database = Database::migrated().await;
    let repository = keeping_little(&database).await;
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
    let refused = repository.apply_retention().await;
    assert!(matches!(refused, Err(RepositoryError::ReadOnly(_))), "{refused:?}");
    edit(&*repository, 1, 4).await;
    assert_eq!(history(&*repository, 1).await.len(), 4);
}
