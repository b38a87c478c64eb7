//! Whoever writes to the table is recorded; and what becomes of records that are restored, adopted or deleted.

use std::sync::Arc;

use sqlx::Connection;
use strom::repository::{Change, FeedCursor, FlowRepository, ListQuery, Operation, RepositoryError, Since};
use strom::testkit::feed::{self, read, read_until};
use strom::testkit::history::{self, history};
use strom::testkit::samples::{canonical, change, create_all, flow, flow_with, id, revision, stamp, stored, time};

use crate::migrations::GIVEN_TABLE;
use crate::support::postgres::{Database, count, run, wait_for_count};

use Operation::{Create, Delete, State, Update};

/// The statement by which an older Strom saves one flow, and by which it inserts all.
fn upsert(number: u32, members: &str) -> String {
    let id = id(number);
    format!(
        r#"INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at)
           VALUES ('{id}', 'older', 'Null', false, '{{"id": "{id}", "name": "older"{members}}}', NOW(), NOW())
           ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, state = EXCLUDED.state, data = EXCLUDED.data,
               auto_restart = EXCLUDED.auto_restart, created_at = EXCLUDED.created_at, updated_at = NOW();"#
    )
}

#[tokio::test]
async fn whatever_psql_does_is_recorded() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    let statements = [
        format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'by hand', '{{}}')", id(1)),
        "UPDATE flows SET name = 'renamed'".to_owned(),
        "UPDATE flows SET state = 'Playing'".to_owned(),
        "UPDATE flows SET state = 'Playing', updated_at = NOW()".to_owned(),
        r#"BEGIN; UPDATE flows SET data = data || '{"n": 1}'; SAVEPOINT a; DELETE FROM flows; ROLLBACK TO a;
            UPDATE flows SET data = data || '{"n": 2}'; COMMIT"#
            .to_owned(),
        "BEGIN; DELETE FROM flows; ROLLBACK".to_owned(),
        "DELETE FROM flows".to_owned(),
    ];
    for statement in statements {
        run(&mut psql, &statement).await;
    }
    let records = read(&*repository, Since::Oldest).await;
    let expected = [(1, Create, 1), (1, Update, 2), (1, State, 2), (1, Update, 3), (1, Update, 4), (1, Delete, 5)];
    assert_eq!(feed::told(&records), expected);
    assert!(records.iter().all(|record| record.author.as_str() == "sql"));
    let documents: Vec<_> = records[2..].iter().map(|record| canonical(&record.item)).collect();
    let document = |members| canonical(&flow_with(1, "renamed", members));
    let (playing, last) = (document(r#""gst_state":"Playing""#), document(r#""gst_state":"Playing","n":2"#));
    assert_eq!(documents, [playing, document(r#""gst_state":"Playing","n":1"#), last.clone(), last]);
    assert_eq!(history::told(&history(&*repository, 1).await)[0], (Delete, 5));
}

#[tokio::test]
async fn an_author_does_not_stay_with_the_session() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a")]).await;
    let mut psql = database.connect().await;
    run(&mut psql, "BEGIN; SELECT set_config('strom.author', 'somebody', TRUE); UPDATE flows SET name = 'b'; COMMIT")
        .await;
    run(&mut psql, "UPDATE flows SET name = 'c'").await;
    let authors = history(&*repository, 1).await.into_iter().map(|record| record.author.as_str().to_owned());
    assert_eq!(authors.collect::<Vec<_>>(), ["sql", "somebody", "tester"]);
}

/// Records are made at the commit, after the statement has given its answer.
#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_not_made() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a")]).await;
    let mut psql = database.connect().await;
    run(&mut psql, "ALTER TABLE flow_changes ADD CHECK (name <> 'unspeakable')").await;
    let single = vec![Change::replace(flow(1, "unspeakable"))];
    repository.apply(single, stamp(1)).await.unwrap_err();
    let several = vec![Change::replace(flow(1, "b")), Change::create(flow(2, "unspeakable"))];
    repository.apply(several, stamp(2)).await.unwrap_err();
    assert_eq!(stored(&*repository, 1).await.item.head().name, "a");
    change(&*repository, Change::replace(flow(1, "c")), stamp(3)).await;
    assert_eq!(feed::told(&read(&*repository, Since::Oldest).await), [(1, Create, 1), (1, Update, 2)]);
}

#[tokio::test]
async fn an_older_strom_forgets_nothing() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut older = database.connect().await;
    for number in 1..=3 {
        run(&mut older, &upsert(number, "")).await;
    }
    run(&mut older, &upsert(2, r#", "edit": 1"#)).await;
    let before = [stored(&*repository, 1).await.version, stored(&*repository, 2).await.version];
    // Its other way: everything out and in again. The first is as it was but for its state, the second is edited, the
    // third is gone, the fourth is new.
    let all = [upsert(1, r#", "gst_state": "Ready""#), upsert(2, r#", "edit": 2"#), upsert(4, "")].concat();
    run(&mut older, &format!("BEGIN; DELETE FROM flows; {all} COMMIT")).await;
    assert_eq!(stored(&*repository, 1).await.version, before[0], "it was never gone");
    let second = stored(&*repository, 2).await.version;
    assert_eq!((second.revision.number(), second.created_at), (3, before[1].created_at));
    // Once more, and nothing has happened.
    run(&mut older, &format!("BEGIN; DELETE FROM flows; {all} COMMIT")).await;
    let records = read(&*repository, Since::Oldest).await;
    let mut told = feed::told(&records);
    let saved = told.split_off(4);
    assert_eq!(told, [(1, Create, 1), (2, Create, 1), (3, Create, 1), (2, Update, 2)]);
    let mut saved = saved;
    saved.sort_unstable_by_key(|(flow, ..)| *flow);
    assert_eq!(saved, [(1, State, 1), (2, Update, 3), (3, Delete, 2), (4, Create, 1)]);
    let deleted = repository.deleted().await.unwrap();
    assert_eq!(deleted.iter().map(|gone| gone.item.id).collect::<Vec<_>>(), [id(3)]);
}

#[tokio::test]
async fn a_flow_that_goes_and_comes_in_one_transaction_has_one_history() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    run(&mut psql, &upsert(1, "")).await;
    let edit = upsert(1, r#", "edit": 1"#);
    run(&mut psql, &format!("BEGIN; UPDATE flows SET name = 'b'; DELETE FROM flows; {edit} COMMIT")).await;
    run(&mut psql, &format!("BEGIN; DELETE FROM flows; {} DELETE FROM flows; {edit} COMMIT", upsert(1, ""))).await;
    let there = stored(&*repository, 1).await;
    let records = read(&*repository, Since::Oldest).await;
    let revisions: Vec<_> = records.iter().map(|record| record.revision.number()).collect();
    assert!(revisions.is_sorted_by(|a, b| a < b), "{:?}", feed::told(&records));
    let last = records.last().unwrap();
    assert_eq!((last.revision, canonical(&last.item)), (there.version.revision, canonical(&there.item)));
}

/// What a transaction did to a flow before it deleted it and made it anew, never was; however much it did before and after.
#[tokio::test]
async fn a_flow_that_is_edited_on_both_sides_of_its_return_has_one_history() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    run(&mut psql, &upsert(1, "")).await;
    let edit = |edit: &str| format!("UPDATE flows SET data = data || '{{\"edit\": \"{edit}\"}}';");
    let back = |edit: &str| upsert(1, &format!(r#", "edit": "{edit}""#));
    let report = r#"UPDATE flows SET data = data || '{"running": true}';"#;
    for (before, after) in [(0, 1), (1, 1), (2, 2), (1, 3), (3, 1), (2, 0)] {
        let name = format!("{before}{after}");
        let edits = |side: &str, count| (0..count).map(|n| edit(&format!("{side} {n} of {name}"))).collect::<String>();
        let (before, after, anew) = (edits("before", before), edits("after", after), back(&format!("anew {name}")));
        run(&mut psql, &format!("BEGIN; {before} {report} DELETE FROM flows; {anew} {after} {report} COMMIT")).await;
    }
    let there = stored(&*repository, 1).await;
    let records = read(&*repository, Since::Oldest).await;
    let told = feed::told(&records);
    let edits: Vec<_> = told.iter().filter(|(_, operation, _)| *operation != State).collect();
    let counted = (1..).map(|revision| (1, if revision == 1 { Create } else { Update }, revision));
    assert!(edits.into_iter().copied().eq(counted.take(1 + 2 + 2 + 3 + 4 + 2 + 1)), "{told:?}");
    for record in &records {
        assert!(!record.item.document().get().contains("before"), "{} never was", record.item.document());
    }
    let last = records.last().unwrap();
    assert_eq!((last.revision, canonical(&last.item)), (there.version.revision, canonical(&there.item)));
    assert_eq!(history::told(&history(&*repository, 1).await).len(), 15);

    // Gone in the end, after it had come back.
    let (before, anew) = (edit("before the end"), back("anew"));
    let twice = format!("BEGIN; {before} {before} DELETE FROM flows; {anew} DELETE FROM flows; COMMIT");
    run(&mut psql, &twice).await;
    assert_eq!(history::told(&history(&*repository, 1).await)[..2], [(Delete, 17), (Update, 16)]);
    run(&mut psql, &upsert(1, "")).await;
    assert_eq!(history::told(&history(&*repository, 1).await)[0], (Create, 18));
}

#[tokio::test]
async fn what_was_there_before_there_was_a_history_is_its_beginning() {
    let database = Database::empty().await;
    let mut older = database.connect().await;
    run(&mut older, GIVEN_TABLE).await;
    run(&mut older, &upsert(1, r#", "n": 1.10"#)).await;
    run(&mut older, &format!("UPDATE flows SET updated_at = '{}'", time(7).to_rfc3339())).await;
    let repository = database.repository().await;
    change(&*repository, Change::replace(flow(1, "edited")), stamp(9)).await;
    assert_eq!(history::told(&history(&*repository, 1).await), [(Update, 2), (Create, 1)]);
    let first = revision(&*repository, 1, 1).await.unwrap();
    assert_eq!(canonical(&first.item), canonical(&flow_with(1, "older", r#""n":1.1"#)));
    assert_eq!((first.at, first.author.as_str()), (time(7), "sql"));
    assert_eq!(feed::told(&read(&*repository, Since::Oldest).await), [(1, Create, 1), (1, Update, 2)]);
}

/// A database from a dump: its history is there, places in the feed hold, and what is new comes behind them.
#[tokio::test]
async fn a_dump_takes_history_and_feed_along() {
    let database = Database::migrated().await;
    let original = database.repository().await;
    create_all(&*original, [flow(1, "a")]).await;
    change(&*original, Change::replace(flow(1, "b")), stamp(1)).await;
    create_all(&*original, [flow(2, "gone")]).await;
    change(&*original, Change::delete(id(2)), stamp(2)).await;
    let is_last = |record: &_| feed::told(std::slice::from_ref(record)) == [(2, Delete, 2)];
    let records = read_until(&*original, Since::Oldest, 10, is_last).await;
    original.close().await;

    let copy = database.copied().await;
    let mut psql = copy.connect().await;
    // As if the dump came from a server that has counted further than this one will for long.
    run(&mut psql, "UPDATE flow_changes SET horizon = horizon + 1000000000000").await;
    let moved = |cursor: FeedCursor| {
        let text = cursor.to_string();
        let parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap()).collect();
        format!("{}.{}.{}", parts[0], parts[1] + 1_000_000_000_000, parts[2]).parse().unwrap()
    };
    // Before any Strom has seen the new place.
    run(&mut psql, &upsert(3, "")).await;
    let repository = copy.repository().await;
    change(&*repository, Change::replace(flow(1, "c")), stamp(3)).await;
    let told = [(1, Create, 1), (1, Update, 2), (2, Create, 1), (2, Delete, 2), (3, Create, 1), (1, Update, 3)];
    assert_eq!(feed::told(&read(&*repository, Since::Oldest).await), told);
    for (place, record) in records.iter().enumerate() {
        let since: FeedCursor = moved(record.cursor);
        assert_eq!(feed::told(&read(&*repository, Since::After(since)).await), told[place + 1..]);
    }
    assert_eq!(history::told(&history(&*repository, 1).await), [(Update, 3), (Update, 2), (Create, 1)]);
    assert_eq!(history::told(&history(&*repository, 2).await), [(Delete, 2), (Create, 1)]);

    // What the original tells after the dump is none of the copy's.
    let original = database.repository().await;
    change(&*original, Change::replace(flow(1, "another")), stamp(3)).await;
    let later = read(&*original, Since::After(records[3].cursor)).await[0].cursor;
    let answer = repository.changes(Since::After(moved(later)), 10).await;
    assert!(matches!(answer, Err(RepositoryError::Gone)), "{answer:?}");
}

/// Starting again does not begin another log.
#[tokio::test]
async fn a_log_stays_with_its_database() {
    let database = Database::migrated().await;
    database.repository().await.close().await;
    let mut psql = database.connect().await;
    let log = count(&mut psql, "SELECT log FROM flow_log").await;
    database.repository().await.close().await;
    assert_eq!(count(&mut psql, "SELECT log FROM flow_log").await, log);
    assert_eq!(count(&mut psql, "SELECT strom_log()").await, log);
}

#[tokio::test]
async fn who_stands_before_deleted_records_is_told_so() {
    let database = Database::migrated().await;
    let repository: Arc<dyn FlowRepository> = database.repository().await;
    create_all(&*repository, [flow(1, "a")]).await;
    for edit in 2..=4 {
        let state = Change::replace(flow_with(1, "a", &format!(r#""edit":{},"running":true"#, edit - 1)));
        change(&*repository, state, stamp(edit)).await;
        change(&*repository, Change::replace(flow_with(1, "a", &format!(r#""edit":{edit}"#))), stamp(edit)).await;
    }
    let records = read(&*repository, Since::Oldest).await;
    let mut psql = database.connect().await;
    run(&mut psql, "DELETE FROM flow_changes WHERE operation = 'state'").await;
    let told = feed::told(&read(&*repository, Since::Oldest).await);
    assert!(told.len() < records.len() && told.iter().all(|(_, operation, _)| *operation != State), "{told:?}");

    run(&mut psql, &format!("DELETE FROM flow_changes WHERE revision <= 2 AND flow_id = '{}'", id(1))).await;
    let after = |revision: u64| {
        let record = records.iter().rfind(|record| record.revision.number() == revision).unwrap();
        repository.changes(Since::After(record.cursor), 10)
    };
    assert!(matches!(after(1).await, Err(RepositoryError::Gone)));
    after(2).await.expect("nothing behind it is gone");
    let kept = repository.changes(Since::Oldest, 1).await.unwrap();
    assert!(kept.changes[0].revision.number() > 2);
    repository.changes(Since::After(kept.next), 10).await.expect("what is kept can be read in pages");
    assert!(revision(&*repository, 1, 2).await.is_none());
}

/// However many revisions there are, what is now is found without reading them, and saved at the price of some steps in an
/// index.
#[tokio::test]
async fn a_long_history_is_nothing_to_those_who_read_and_save_flows() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, (0..500).map(|number| flow(number, "a"))).await;
    // Sessions report what they have done when they end, at the latest: that of the editor must not do so later.
    let mut editor = database.connect().await;
    for edit in 0..20 {
        run(&mut editor, &format!("UPDATE flows SET data = data || '{{\"edit\": {edit}}}'")).await;
    }
    run(&mut editor, "VACUUM ANALYZE").await;
    editor.close().await.unwrap();
    repository.close().await;
    let mut psql = database.connect().await;
    let sessions =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    wait_for_count(&mut psql, sessions, 0).await;
    run(&mut psql, "SELECT pg_stat_reset()").await;
    let repository = database.repository().await;
    for number in 0..20 {
        assert_eq!(stored(&*repository, number).await.version.revision.number(), 21);
    }
    let query = ListQuery { limit: Some(50), count: true, ..ListQuery::default() };
    assert_eq!(repository.list(&query).await.unwrap().total, Some(500));
    assert_eq!(repository.summaries(&query).await.unwrap().items.len(), 50);
    repository.close().await;
    wait_for_count(&mut psql, sessions, 0).await;
    let read = |column: &str| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'flow_changes'");
    assert_eq!(count(&mut psql, &read("seq_scan + idx_scan")).await, 0, "reading flows does not look at their history");

    let repository = database.repository().await;
    for number in 0..10 {
        change(&*repository, Change::replace(flow(number, "b")), stamp(1)).await;
    }
    create_all(&*repository, [flow(1_000, "new")]).await;
    change(&*repository, Change::delete(id(9)), stamp(2)).await;
    repository.close().await;
    let reported = read("(n_tup_ins >= 12)::INT::BIGINT");
    wait_for_count(&mut psql, &reported, 1).await;
    wait_for_count(&mut psql, sessions, 0).await;
    assert_eq!(count(&mut psql, &read("seq_scan")).await, 0, "a save reads no whole history");
    let rows = count(&mut psql, &read("idx_tup_fetch")).await;
    assert!(rows <= 5 * 12, "{rows} records were read for twelve changes");
}
