//! Changes by any writer to the table are recorded. Records survive dumps, adoption and partial deletion.

use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use sqlx::Connection;
use strom_store::Flow;
use strom_store::internals::feed::{self, read, read_until};
use strom_store::internals::history::{self, history};
use strom_store::internals::samples::{
    canonical, change, create_all, flow, flow_with, id, revision, stamp, stored, time,
};
use strom_store::repository::{
    Change, FeedCursor, FlowRepository, ListQuery, Operation, Record, RepositoryError, Since,
};

use strom_test_support::given_table::GIVEN_TABLE;
use strom_test_support::postgres::{Database, count, run, wait_for_count};

use Operation::{Create, Delete, State, Update};

/// Returns the statement with which an older version saves a flow.
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
async fn changes_by_psql_are_recorded() {
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
    let expected = [(1, Create, 1), (1, Update, 2), (1, Update, 3), (1, Update, 4), (1, Delete, 5)];
    assert_eq!(feed::operations(&records), expected);
    assert!(records.iter().all(|record| record.author.as_str() == "sql"));
    let documents: Vec<_> = records[2..].iter().map(|record| canonical(&record.item)).collect();
    let document = |members| canonical(&flow_with(1, "renamed", members));
    let last = document(r#""gst_state":"Playing","n":2"#);
    assert_eq!(documents, [document(r#""gst_state":"Playing","n":1"#), last.clone(), last]);
    assert_eq!(history::operations(&history(&*repository, 1).await)[0], (Delete, 5));
}

#[tokio::test]
async fn author_setting_ends_with_the_transaction() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a")]).await;
    let mut psql = database.connect().await;
    run(&mut psql, "BEGIN; SELECT set_config('strom.author', 'editor', TRUE); UPDATE flows SET name = 'b'; COMMIT")
        .await;
    run(&mut psql, "UPDATE flows SET name = 'c'").await;
    let authors = history(&*repository, 1).await.into_iter().map(|record| record.author.as_str().to_owned());
    assert_eq!(authors.collect::<Vec<_>>(), ["sql", "editor", "tester"]);
}

/// The trigger writes records at the commit, after the statement has succeeded.
#[tokio::test]
async fn change_that_cannot_be_recorded_is_rolled_back() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a")]).await;
    let mut psql = database.connect().await;
    run(&mut psql, "ALTER TABLE flow_changes ADD CHECK (name <> 'forbidden')").await;
    let single = vec![Change::replace(flow(1, "forbidden"))];
    repository.apply_all(single, stamp(1)).await.unwrap_err();
    let several = vec![Change::replace(flow(1, "b")), Change::create(flow(2, "forbidden"))];
    repository.apply_all(several, stamp(2)).await.unwrap_err();
    assert_eq!(stored(&*repository, 1).await.item.head().name, "a");
    change(&*repository, Change::replace(flow(1, "c")), stamp(3)).await;
    assert_eq!(feed::operations(&read(&*repository, Since::Oldest).await), [(1, Create, 1), (1, Update, 2)]);
}

#[tokio::test]
async fn saves_of_older_versions_keep_the_history() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut older = database.connect().await;
    for number in 1..=3 {
        run(&mut older, &upsert(number, "")).await;
    }
    run(&mut older, &upsert(2, r#", "edit": 1"#)).await;
    let before = [stored(&*repository, 1).await.version, stored(&*repository, 2).await.version];
    // An older version also saves by deleting and inserting all flows. The first flow has a new state, the second is
    // edited, the third is missing, the fourth is new.
    let all = [upsert(1, r#", "gst_state": "Ready""#), upsert(2, r#", "edit": 2"#), upsert(4, "")].concat();
    run(&mut older, &format!("BEGIN; DELETE FROM flows; {all} COMMIT")).await;
    assert_eq!(stored(&*repository, 1).await.version, before[0], "the flow was not deleted");
    let second = stored(&*repository, 2).await.version;
    assert_eq!((second.revision.number(), second.created_at), (3, before[1].created_at));
    // Repeating the save changes nothing.
    run(&mut older, &format!("BEGIN; DELETE FROM flows; {all} COMMIT")).await;
    let records = read(&*repository, Since::Oldest).await;
    let mut changes = feed::operations(&records);
    let saved = changes.split_off(4);
    assert_eq!(changes, [(1, Create, 1), (2, Create, 1), (3, Create, 1), (2, Update, 2)]);
    let mut saved = saved;
    saved.sort_unstable_by_key(|(flow, ..)| *flow);
    assert_eq!(saved, [(1, State, 1), (2, Update, 3), (3, Delete, 2), (4, Create, 1)]);
    let deleted = repository.deleted().await.unwrap();
    assert_eq!(deleted.iter().map(|record| record.item.id).collect::<Vec<_>>(), [id(3)]);
}

#[tokio::test]
async fn flow_deleted_and_recreated_in_one_transaction_continues_its_history() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    run(&mut psql, &upsert(1, "")).await;
    let edit = upsert(1, r#", "edit": 1"#);
    run(&mut psql, &format!("BEGIN; UPDATE flows SET name = 'b'; DELETE FROM flows; {edit} COMMIT")).await;
    run(&mut psql, &format!("BEGIN; DELETE FROM flows; {} DELETE FROM flows; {edit} COMMIT", upsert(1, ""))).await;
    let current = stored(&*repository, 1).await;
    let records = read(&*repository, Since::Oldest).await;
    let revisions: Vec<_> = records.iter().map(|record| record.revision.number()).collect();
    assert!(revisions.is_sorted_by(|a, b| a < b), "{:?}", feed::operations(&records));
    let last = records.last().unwrap();
    assert_eq!((last.revision, canonical(&last.item)), (current.version.revision, canonical(&current.item)));
}

/// A transaction edits, deletes, recreates and edits a flow. The edits before the deletion are not recorded.
#[tokio::test]
async fn edits_before_a_deletion_in_the_same_transaction_are_not_recorded() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    run(&mut psql, &upsert(1, "")).await;
    let edit = |edit: &str| format!("UPDATE flows SET data = data || '{{\"edit\": \"{edit}\"}}';");
    let recreate = |edit: &str| upsert(1, &format!(r#", "edit": "{edit}""#));
    let report = r#"UPDATE flows SET data = data || '{"running": true}';"#;
    for (before, after) in [(0, 1), (1, 1), (2, 2), (1, 3), (3, 1), (2, 0)] {
        let name = format!("{before}{after}");
        let edits = |side: &str, count| (0..count).map(|n| edit(&format!("{side} {n} of {name}"))).collect::<String>();
        let (before, after) = (edits("before", before), edits("after", after));
        let recreated = recreate(&format!("recreated {name}"));
        run(&mut psql, &format!("BEGIN; {before} {report} DELETE FROM flows; {recreated} {after} {report} COMMIT"))
            .await;
    }
    let current = stored(&*repository, 1).await;
    let records = read(&*repository, Since::Oldest).await;
    let changes = feed::operations(&records);
    let edits: Vec<_> = changes.iter().filter(|(_, operation, _)| *operation != State).collect();
    let counted = (1..).map(|revision| (1, if revision == 1 { Create } else { Update }, revision));
    assert!(edits.into_iter().copied().eq(counted.take(1 + 2 + 2 + 3 + 4 + 2 + 1)), "{changes:?}");
    for record in &records {
        assert!(!record.item.document().get().contains("before"), "{} must not be recorded", record.item.document());
    }
    let last = records.last().unwrap();
    assert_eq!((last.revision, canonical(&last.item)), (current.version.revision, canonical(&current.item)));
    assert_eq!(history::operations(&history(&*repository, 1).await).len(), 15);

    // The transaction deletes the flow again after it has recreated it.
    let (before, recreated) = (edit("before the end"), recreate("recreated"));
    let twice = format!("BEGIN; {before} {before} DELETE FROM flows; {recreated} DELETE FROM flows; COMMIT");
    run(&mut psql, &twice).await;
    assert_eq!(history::operations(&history(&*repository, 1).await)[..2], [(Delete, 17), (Update, 16)]);
    run(&mut psql, &upsert(1, "")).await;
    assert_eq!(history::operations(&history(&*repository, 1).await)[0], (Create, 18));
}

#[tokio::test]
async fn migration_records_existing_flows_as_first_revisions() {
    let database = Database::empty().await;
    let mut older = database.connect().await;
    run(&mut older, GIVEN_TABLE).await;
    run(&mut older, &upsert(1, r#", "n": 1.10"#)).await;
    run(&mut older, &format!("UPDATE flows SET updated_at = '{}'", time(7).to_rfc3339())).await;
    let repository = database.repository().await;
    change(&*repository, Change::replace(flow(1, "edited")), stamp(9)).await;
    assert_eq!(history::operations(&history(&*repository, 1).await), [(Update, 2), (Create, 1)]);
    let first = revision(&*repository, 1, 1).await.unwrap();
    assert_eq!(canonical(&first.item), canonical(&flow_with(1, "older", r#""n":1.1"#)));
    assert_eq!((first.at, first.author.as_str()), (time(7), "sql"));
    assert_eq!(feed::operations(&read(&*repository, Since::Oldest).await), [(1, Create, 1), (1, Update, 2)]);
}

/// A restored database has the history, accepts old cursors, and puts new changes after them.
#[tokio::test]
async fn dump_contains_history_and_feed() {
    let database = Database::migrated().await;
    let original = database.repository().await;
    create_all(&*original, [flow(1, "a")]).await;
    change(&*original, Change::replace(flow(1, "b")), stamp(1)).await;
    create_all(&*original, [flow(2, "deleted")]).await;
    change(&*original, Change::delete(id(2)), stamp(2)).await;
    let is_last = |record: &_| feed::operations(std::slice::from_ref(record)) == [(2, Delete, 2)];
    let records = read_until(&*original, Since::Oldest, 10, is_last).await;
    original.close().await.unwrap();

    let copy = database.copied().await;
    let mut psql = copy.connect().await;
    // As if the dump came from a server with a much higher transaction counter.
    run(&mut psql, "UPDATE flow_changes SET horizon = horizon + 1000000000000").await;
    let moved = |cursor: FeedCursor| {
        let text = cursor.to_string();
        let parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap()).collect();
        format!("{}.{}.{}", parts[0], parts[1] + 1_000_000_000_000, parts[2]).parse().unwrap()
    };
    // Before an instance has opened the restored database.
    run(&mut psql, &upsert(3, "")).await;
    let repository = copy.repository().await;
    change(&*repository, Change::replace(flow(1, "c")), stamp(3)).await;
    let expected = [(1, Create, 1), (1, Update, 2), (2, Create, 1), (2, Delete, 2), (3, Create, 1), (1, Update, 1003)];
    assert_eq!(feed::operations(&read(&*repository, Since::Oldest).await), expected);
    for (index, record) in records.iter().enumerate() {
        let since: FeedCursor = moved(record.cursor);
        assert_eq!(feed::operations(&read(&*repository, Since::After(since)).await), expected[index + 1..]);
    }
    assert_eq!(history::operations(&history(&*repository, 1).await), [(Update, 1003), (Update, 2), (Create, 1)]);
    assert_eq!(history::operations(&history(&*repository, 2).await), [(Delete, 2), (Create, 1)]);

    // The copy does not know cursors that the original assigns after the dump.
    let original = database.repository().await;
    change(&*original, Change::replace(flow(1, "another")), stamp(3)).await;
    let later = read(&*original, Since::After(records[3].cursor)).await[0].cursor;
    let answer = repository.changes(Since::After(moved(later)), 10).await;
    assert!(matches!(answer, Err(RepositoryError::Gone)), "{answer:?}");
}

#[tokio::test]
async fn reopening_keeps_the_log() {
    let database = Database::migrated().await;
    database.repository().await.close().await.unwrap();
    let mut psql = database.connect().await;
    let log = count(&mut psql, "SELECT log FROM flow_log").await;
    database.repository().await.close().await.unwrap();
    assert_eq!(count(&mut psql, "SELECT log FROM flow_log").await, log);
    assert_eq!(count(&mut psql, "SELECT strom_log()").await, log);
}

/// The next change of the flow deletes the report, but a running transaction delays that change in the feed.
#[tokio::test]
async fn reader_at_a_report_continues_while_the_next_change_is_held_back() {
    let database = Database::migrated().await;
    let repository: Arc<dyn FlowRepository> = database.repository().await;
    create_all(&*repository, [flow(1, "a")]).await;
    let report = |state: &str| Change::replace(flow_with(1, "a", &format!(r#""gst_state":"{state}""#)));
    change(&*repository, report("Ready"), stamp(1)).await;
    let cursor = feed::end(&*repository).await;
    let mut psql = database.connect().await;
    run(&mut psql, "BEGIN; CREATE TABLE holds_back ()").await;
    change(&*repository, report("Playing"), stamp(2)).await;
    let held_back = repository.changes(Since::After(cursor), 10).await.expect("the reader has made no mistake");
    assert_eq!((held_back.changes.len(), held_back.next), (0, cursor));
    run(&mut psql, "ROLLBACK").await;
    let is_report = |record: &Record<Flow>| record.operation == State;
    let records = feed::read_until(&*repository, Since::After(cursor), 10, is_report).await;
    assert_eq!(canonical(&records[0].item), canonical(&flow_with(1, "a", r#""gst_state":"Playing""#)));
}

/// An older version retained every report with its document.
#[tokio::test]
async fn old_reports_are_reduced_to_the_newest_of_each_flow() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    repository.close().await.unwrap();
    let mut psql = database.connect().await;
    run(&mut psql, "ALTER TABLE flow_changes DROP COLUMN document_hash").await;
    run(&mut psql, "DELETE FROM _sqlx_migrations WHERE version = 15").await;
    let columns =
        "flow_id, 'state', revision, at, author, created_at, name, state, auto_restart, size, elements, blocks, links";
    for number in 1..=3 {
        let insert = format!(
            "INSERT INTO flow_changes SELECT log, horizon, number + {number}000, {columns}, document \
             FROM flow_changes WHERE operation = 'create'"
        );
        run(&mut psql, &insert).await;
    }
    let repository = database.repository().await;
    let reports = "SELECT COUNT(*) FROM flow_changes WHERE operation = 'state' AND document IS NULL";
    assert_eq!((count(&mut psql, reports).await, count(&mut psql, "SELECT COUNT(*) FROM flow_changes").await), (2, 4));
    let is_last = |record: &Record<Flow>| record.operation == State && record.item.id() == id(2);
    let records = read_until(&*repository, Since::Oldest, 10, is_last).await;
    let expected = [(1, Create, 1), (2, Create, 1), (1, State, 1), (2, State, 1)];
    assert_eq!(feed::operations(&records), expected);
    assert_eq!(canonical(&records[3].item), canonical(&flow(2, "b")));
}

#[tokio::test]
async fn cursor_before_deleted_records_returns_gone() {
    let database = Database::migrated().await;
    let repository: Arc<dyn FlowRepository> = database.repository().await;
    create_all(&*repository, [flow(1, "a")]).await;
    for edit in 2..=4 {
        change(&*repository, Change::replace(flow_with(1, "a", &format!(r#""edit":{edit}"#))), stamp(edit)).await;
    }
    let report = flow_with(1, "a", r#""edit":4,"running":true"#);
    change(&*repository, Change::replace(report), stamp(5)).await;
    let records = read(&*repository, Since::Oldest).await;
    assert_eq!(feed::operations(&records)[4..], [(1, State, 4)]);
    let mut psql = database.connect().await;
    run(&mut psql, "DELETE FROM flow_changes WHERE operation = 'state'").await;
    let changes = feed::operations(&read(&*repository, Since::Oldest).await);
    assert!(
        changes.len() < records.len() && changes.iter().all(|(_, operation, _)| *operation != State),
        "{changes:?}"
    );

    run(&mut psql, &format!("DELETE FROM flow_changes WHERE revision <= 2 AND flow_id = '{}'", id(1))).await;
    let after = |revision: u64| {
        let record = records.iter().rfind(|record| record.revision.number() == revision).unwrap();
        repository.changes(Since::After(record.cursor), 10)
    };
    assert!(matches!(after(1).await, Err(RepositoryError::Gone)));
    after(2).await.expect("all later records exist");
    let retained = repository.changes(Since::Oldest, 1).await.unwrap();
    assert!(retained.changes[0].revision.number() > 2);
    repository.changes(Since::After(retained.next), 10).await.expect("retained records can be read in pages");
    assert!(revision(&*repository, 1, 2).await.is_none());
}

/// Reading flows does not read revisions. A save reads a few index entries.
#[tokio::test]
async fn length_of_the_history_does_not_slow_reads_and_saves() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, (0..500).map(|number| flow(number, "a"))).await;
    // A session reports its statistics when it ends at the latest. The editor must end before the reset.
    let mut editor = database.connect().await;
    for edit in 0..20 {
        run(&mut editor, &format!("UPDATE flows SET data = data || '{{\"edit\": {edit}}}'")).await;
    }
    run(&mut editor, "VACUUM ANALYZE").await;
    editor.close().await.unwrap();
    repository.close().await.unwrap();
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
    repository.close().await.unwrap();
    wait_for_count(&mut psql, sessions, 0).await;
    let read = |column: &str| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'flow_changes'");
    assert_eq!(count(&mut psql, &read("seq_scan + idx_scan")).await, 0, "reading flows does not read their history");

    let repository = database.repository().await;
    for number in 0..10 {
        change(&*repository, Change::replace(flow(number, "b")), stamp(1)).await;
    }
    create_all(&*repository, [flow(1_000, "new")]).await;
    change(&*repository, Change::delete(id(9)), stamp(2)).await;
    repository.close().await.unwrap();
    let reported = read("(n_tup_ins >= 12)::INT::BIGINT");
    wait_for_count(&mut psql, &reported, 1).await;
    wait_for_count(&mut psql, sessions, 0).await;
    assert_eq!(count(&mut psql, &read("seq_scan")).await, 0, "a save does not scan the history");
    let rows = count(&mut psql, &read("idx_tup_fetch")).await;
    assert!(rows <= 5 * 12, "{rows} records were read for twelve changes");
}
