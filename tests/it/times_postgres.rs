//! Rows with times and revisions that no change can have, as SQL can write them.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use strom_store::FlowRepository;
use strom_store::internals::feed;
use strom_store::internals::history::history;
use strom_store::internals::samples::{change, create_all, everything, flow, id, moment, number, stamp, stored};
use strom_store::repository::{Change, ListQuery, Since, TIME_LIMITS, is_beyond_limits};

use strom_test_support::postgres::{Database, count, insert_with_times, run};

/// `created_at` and `updated_at` of the flows 1, 2, ….
const TIMES: [[&str; 2]; 8] = [
    ["infinity", "2026-01-01"],
    ["2026-01-01", "infinity"],
    ["-infinity", "-infinity"],
    ["294276-12-31 23:59:59.999999", "294276-12-31"],
    ["4713-01-01 BC", "2026-01-01"],
    ["12000-01-01", "262143-01-01"],
    ["infinity", "infinity"],
    ["2026-01-01", "2026-01-01"],
];

/// Stores the flows of [`TIMES`] by SQL, after the flows 20 and 21 of the store.
async fn fill(database: &Database, repository: &dyn FlowRepository) {
    create_all(repository, [flow(20, "first"), flow(21, "second")]).await;
    let mut psql = database.connect().await;
    for (number, [created, updated]) in (1..).zip(TIMES) {
        insert_with_times(&mut psql, id(number), &format!("n{number}"), created, updated).await;
    }
}

fn all() -> BTreeSet<u32> {
    (1..=8).chain([20, 21]).collect()
}

#[tokio::test]
async fn flows_with_unusual_times_are_returned_by_every_call() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    fill(&database, &*repository).await;
    let [earliest, latest] = TIME_LIMITS;
    let found = everything(&*repository).await;
    assert_eq!(found.iter().map(|stored| number(stored.item.id())).collect::<BTreeSet<_>>(), all());
    let times = |number| {
        let version = &found.iter().find(|stored| stored.item.id() == id(number)).unwrap().version;
        (version.created_at, version.updated_at)
    };
    assert_eq!((times(1).0, times(3), times(4)), (latest, (earliest, earliest), (latest, latest)));
    assert_eq!(stored(&*repository, 7).await.version.created_at, latest);
    let each: Vec<_> = repository.get_each(all().into_iter().map(id).collect()).try_collect().await.unwrap();
    assert_eq!(each.len(), all().len());
    assert_eq!(history(&*repository, 7).await.len(), 1);
    let histories: Vec<_> = repository.histories().try_collect().await.unwrap();
    assert_eq!(histories.len(), all().len());
    let records = feed::read(&*repository, Since::Oldest).await;
    assert_eq!(records.iter().map(|record| number(record.item.id())).collect::<BTreeSet<_>>(), all());
    repository.feed_lag().await.unwrap();
}

#[tokio::test]
async fn pages_contain_each_flow_once_in_every_order() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    fill(&database, &*repository).await;
    for sort in ["created_at", "-created_at", "updated_at", "-updated_at", "created_at,-updated_at", "-updated_at,name"]
    {
        for limit in [1, 3] {
            let mut query = ListQuery { sort: sort.parse().unwrap(), limit: Some(limit), ..ListQuery::default() };
            let mut seen = Vec::new();
            loop {
                let page = repository.summaries(&query).await.unwrap();
                seen.extend(page.items.iter().map(|stored| number(stored.item.id)));
                assert!(seen.len() <= all().len(), "{sort} repeats flows: {seen:?}");
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
            assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), all(), "{sort} {limit}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn faults_name_the_flows_until_they_are_corrected_or_deleted() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    fill(&database, &*repository).await;
    let reported = async || {
        let faults = repository.health().await.faults;
        let is_named = |number: &u32| faults.iter().any(|fault| fault.contains(&id(*number).to_string()));
        (1..=21).filter(is_named).collect::<Vec<_>>()
    };
    assert_eq!(reported().await, [1, 2, 3, 4, 5, 6, 7]);
    let mut psql = database.connect().await;
    run(&mut psql, &format!("UPDATE flows SET created_at = '2026-02-01' WHERE id = '{}'", id(1))).await;
    run(&mut psql, &format!("UPDATE flows SET updated_at = '2026-02-01' WHERE id = '{}'", id(2))).await;
    run(&mut psql, &format!("DELETE FROM flows WHERE id = '{}'", id(3))).await;
    assert_eq!(reported().await, [4, 5, 6, 7]);
    let times = "SELECT count(*) FROM flows WHERE '2026-02-01' IN (created_at, updated_at)";
    assert_eq!(count(&mut psql, times).await, 2, "the corrections are stored");
    let records = feed::read(&*repository, Since::Oldest).await;
    assert!(records.iter().any(|record| record.item.id() == id(3)), "the feed contains its deletion");

    // A save corrects what is still wrong.
    for number in 4..=7 {
        let before = stored(&*repository, number).await;
        change(&*repository, Change::replace_at(before.item, before.version.revision), stamp(9)).await;
        let after = stored(&*repository, number).await.version;
        assert_eq!(after.revision, before.version.revision, "the content is the same");
        assert!(!is_beyond_limits(after.created_at) && !is_beyond_limits(after.updated_at), "{after:?}");
        assert!(after.created_at <= after.updated_at, "{after:?}");
    }
    assert_eq!(reported().await, [0; 0]);
    let before = stored(&*repository, 8).await.version;
    run(&mut psql, &format!("UPDATE flows SET created_at = '2020-01-01' WHERE id = '{}'", id(8))).await;
    assert_eq!(stored(&*repository, 8).await.version, before, "a valid time of creation never changes");
}

#[tokio::test]
async fn triggers_store_no_time_that_no_change_can_have() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    for (number, [created, updated]) in (1..).zip(TIMES) {
        let values = format!("('{}', 'n{number}', '{{}}', '{created}', '{updated}')", id(number));
        let insert = format!("INSERT INTO flows (id, name, data, created_at, updated_at) VALUES {values}");
        let update = format!(
            "UPDATE flows SET data = data || '{{\"a\": 1}}', created_at = '{created}', updated_at = '{updated}' WHERE id = '{}'",
            id(number)
        );
        for statement in [insert, update] {
            run(&mut psql, &statement).await;
            let version = stored(&*repository, number).await.version;
            let is_valid = !is_beyond_limits(version.created_at) && !is_beyond_limits(version.updated_at);
            assert!(is_valid, "{statement}: {version:?}");
        }
    }
    assert_eq!(repository.health().await.faults, [""; 0]);
}

/// Only SQL without the triggers can store a revision below 1.
#[tokio::test]
async fn rows_with_an_invalid_revision_do_not_fail_lists() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let mut psql = database.connect().await;
    let insert = format!("INSERT INTO flows (id, name, data, revision) VALUES ('{}', 'c', '{{}}', -5)", id(3));
    run(&mut psql, &insert).await;
    assert_eq!(stored(&*repository, 3).await.version.revision.number(), 1);
    let update = format!("UPDATE flows SET revision = -7 WHERE id = '{}'", id(2));
    run(
        &mut psql,
        &format!(
            "SET session_replication_role = replica;
             ALTER TABLE flows DROP CONSTRAINT strom_before_write_is_enabled;
             {update};
             ALTER TABLE flows ADD CONSTRAINT strom_before_write_is_enabled CHECK (revision > 0) NOT VALID"
        ),
    )
    .await;
    assert_eq!(moment(&*repository).await.len(), 3);
    assert_eq!(stored(&*repository, 2).await.version.revision.number(), 0);
}

#[test]
fn limits_in_sql_of_postgres_equal_the_limits_of_the_store() {
    let [earliest, latest] = TIME_LIMITS.map(|time| time.format("%Y-%m-%d %H:%M:%S%.f+00").to_string());
    for text in [include_str!("../../migrations/0013_guards.sql"), include_str!("../../src/postgres/flows/faults.rs")] {
        assert!(
            text.contains(&format!("'{earliest}'")) && text.contains(&format!("'{latest}'")),
            "{earliest} {latest}"
        );
    }
}
