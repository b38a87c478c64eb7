//! The statements of the group commit write exactly what the triggers write for other statements.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};
use strom_store::flow::{Flow, Runtime};
use strom_store::internals::Chance;
use strom_store::internals::samples::{canonical, change, create_all, everything, flow_with, id, stamp, stored, time};
use strom_store::repository::{Change, FlowRepository, FlowRepositoryExt as _, Precondition, Retention, Revision};

use crate::sqlx_cache::statement;
use strom_test_support::postgres::{Database, count, open_keeping, run, wait_for_count};

const FLOWS: u64 = 5;
const STEPS: u64 = 400;

/// Everything that both databases must contain in the same form. Positions and times of the server differ.
const ROWS: &str = "
    SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '')
    FROM (
        SELECT 'flow ' || (to_jsonb(flows) - '{content_hash,generation}'::TEXT[])::TEXT AS line FROM flows
        UNION ALL
        SELECT 'change ' || row_number() OVER (PARTITION BY flow_id ORDER BY log, horizon, number) || ' '
            || (to_jsonb(change) - '{log,horizon,number}'::TEXT[])::TEXT
        FROM flow_changes AS change
        UNION ALL
        SELECT 'tombstone ' || (to_jsonb(tombstone) - 'generation')::TEXT FROM flow_tombstones AS tombstone
    ) AS lines";

fn document(number: u32, chance: &mut Chance) -> Flow {
    let mut pick = |choices: &[&str]| choices[chance.below(choices.len() as u64) as usize].to_owned();
    let name = pick(&["Studio 1", "STÜDIO ÄÖ", "студия", "İ"]);
    let members = [
        pick(&[r#""elements":[]"#, r#""elements":[{"id":"a"},{"id":"b","gain":1.10}]"#, r#""elements":7"#]),
        pick(&[r#""blocks":[]"#, r#""blocks":[{"id":"b","runtime_data":{"x":1}},3]"#, r#""blocks":[{"id":"b"},3]"#]),
        pick(&[
            r#""properties":{}"#,
            r#""properties":{"auto_restart":true,"ptp_info":{"n":1}}"#,
            r#""properties":null"#,
        ]),
        pick(&[
            r#""gst_state":"Playing""#,
            r#""state":"Paused""#,
            r#""gst_state":"other","running":true"#,
            r#""links":[1,2]"#,
        ]),
        pick(&[r#""big":123456789012345678901234567890"#, r#""big":1e2"#, r#""big":100"#, "\"big\":\"\\u00e9\\n\""]),
    ];
    flow_with(number, &name, &members.join(","))
}

fn precondition(chance: &mut Chance) -> Precondition {
    match chance.below(5) {
        0 => Precondition::Absent,
        1 => Precondition::Present,
        2 => Precondition::At(Revision::new(chance.below(12))),
        _ => Precondition::Any,
    }
}

/// Makes a change, and returns its outcome or error as text.
async fn make(repository: &dyn FlowRepository, changes: Vec<Change>, at: i64) -> String {
    match repository.apply_all(changes, stamp(at)).await {
        Ok(applied) => format!("{:?}", applied[0]),
        Err(error) => error.to_string(),
    }
}

/// Returns a statement that a person could run.
fn by_sql(number: u32, at: i64, chance: &mut Chance) -> String {
    let (id, at) = (id(number), time(at));
    match chance.below(4) {
        0 => format!("UPDATE flows SET name = 'by SQL', updated_at = '{at}' WHERE id = '{id}'"),
        1 => format!("UPDATE flows SET state = 'Ready' WHERE id = '{id}'"),
        2 => format!("UPDATE flows SET data = data || '{{\"by\":\"SQL\"}}', updated_at = '{at}' WHERE id = '{id}'"),
        _ => format!(
            "INSERT INTO flows (id, name, data, created_at, updated_at) VALUES ('{id}', 'by SQL', '{{}}', '{at}', '{at}')
             ON CONFLICT (id) DO UPDATE SET data = excluded.data, updated_at = excluded.updated_at"
        ),
    }
}

async fn rows(psql: &mut PgConnection) -> String {
    sqlx::query_scalar(ROWS).fetch_one(psql).await.unwrap()
}

/// Runs the statement of the group commit that replaces a flow without elements. Returns the number of replaced flows.
pub(crate) async fn run_update(connection: &mut PgConnection, statement: &str, document: Value) -> usize {
    let (id, name) = (document["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap(), document["name"].clone());
    let content_hash = Flow::parse(&document.to_string()).unwrap().hash(Runtime::Exclude).unwrap().to_vec();
    let update = sqlx::query(AssertSqlSafe(statement)).bind(vec![id]).bind(vec![name.as_str().unwrap().to_owned()]);
    let update = update.bind(vec!["Null"]).bind(vec![false]).bind(vec![document.to_string().len() as i32]);
    let update = update.bind(vec![0]).bind(vec![0]).bind(vec![0]).bind(vec![content_hash]).bind(vec![Json(document)]);
    let update = update.bind(vec![time(2)]).bind(vec!["tester"]).bind(vec![None::<i64>]).bind(vec![None::<Vec<u8>>]);
    update.bind("several").bind(vec![false]).fetch_all(connection).await.unwrap().len()
}

/// A report keeps the revision, so only the row version reveals it. Without that check, the save would precede the report in the feed.
#[tokio::test]
async fn direct_update_skips_flow_changed_between_snapshot_and_lock() {
    let database = Database::migrated().await;
    create_all(&*database.repository().await, [flow_with(1, "a", "")]).await;
    let [mut writer, mut other] = [database.connect().await, database.connect().await];
    let update = statement("FOR UPDATE OF flows SKIP LOCKED");
    let waiting =
        update.replace("SELECT unnest($1::UUID[]) AS id", "SELECT unnest($1::UUID[]) AS id, pg_advisory_xact_lock(1)");
    assert_ne!(update, waiting);
    for (update, written) in [(&waiting, 0), (&update, 1)] {
        run(&mut other, "SELECT pg_advisory_lock(1)").await;
        let document = json!({"id": id(1).as_uuid(), "name": "b"});
        let saved = run_update(&mut writer, update, document);
        let report = async {
            if written == 0 {
                let waiters = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
                wait_for_count(&mut other, waiters, 1).await;
                run(&mut other, "UPDATE flows SET state = 'Playing'").await;
            }
            run(&mut other, "SELECT pg_advisory_unlock(1)").await;
        };
        assert_eq!(tokio::join!(saved, report).0, written);
    }
}

#[tokio::test]
async fn direct_statements_and_triggers_write_the_same_rows() {
    // Retains everything, because the times of the changes are long ago.
    let retention = Retention { revisions: 1_000, age: TimeDelta::days(100_000) };
    let [(direct, of_direct), (triggers, of_triggers)] = [open_keeping(retention).await, open_keeping(retention).await];
    let [mut of_direct, mut of_triggers] = [of_direct.connect().await, of_triggers.connect().await];
    // The time of a record of a report by SQL is that of its transaction.
    let normalize = "UPDATE flow_changes SET at = '2026-01-01' WHERE author = 'sql' AND operation = 'state'";
    let mut chance = Chance::new(7);
    for step in 0..STEPS {
        let (number, at) = (chance.below(FLOWS) as u32, step as i64);
        match chance.below(10) {
            0 => {
                let delete = || vec![Change::delete(id(number))];
                assert_eq!(make(&*direct, delete(), at).await, make(&*triggers, delete(), at).await, "step {step}");
            }
            1 | 2 => {
                let statement = by_sql(number, at, &mut chance);
                for psql in [&mut of_direct, &mut of_triggers] {
                    run(psql, &statement).await;
                    run(psql, normalize).await;
                }
            }
            _ => {
                let put = Change::Put(document(number, &mut chance), precondition(&mut chance));
                // The group commit makes only lists of one change.
                let list = vec![put.clone(), Change::Delete(id(99), Precondition::Any)];
                assert_eq!(make(&*direct, vec![put], at).await, make(&*triggers, list, at).await, "step {step}");
            }
        }
        assert_eq!(rows(&mut of_direct).await, rows(&mut of_triggers).await, "step {step}");
    }

    let hashes =
        sqlx::query_as::<_, (uuid::Uuid, Vec<u8>)>("SELECT id, content_hash FROM flows WHERE content_hash IS NOT NULL");
    let hashes = hashes.fetch_all(&mut of_direct).await.unwrap();
    assert!(!hashes.is_empty(), "the group commit has written some flows");
    for (id, hash) in hashes {
        let stored = direct.get(id.into()).await.unwrap().unwrap();
        assert_eq!(hash, stored.item.hash(Runtime::Exclude).unwrap(), "{id}");
    }
    assert_eq!(count(&mut of_triggers, "SELECT COUNT(*) FROM flows WHERE content_hash IS NOT NULL").await, 0);
    assert!(!everything(&*direct).await.is_empty());
}

/// A trigger of another program writes a second flow whenever a flow is saved.
#[tokio::test]
async fn changes_of_foreign_triggers_are_recorded() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow_with(1, "a", ""), flow_with(2, "counter", "")]).await;
    let mut psql = database.connect().await;
    let function = format!(
        "CREATE FUNCTION count_saves() RETURNS TRIGGER LANGUAGE plpgsql AS $$
         BEGIN
             UPDATE flows SET data = data || jsonb_build_object('saves', NEW.revision) WHERE id = '{}';
             RETURN NULL;
         END $$",
        id(2)
    );
    run(&mut psql, &function).await;
    let trigger = format!(
        "CREATE TRIGGER count_saves AFTER INSERT OR UPDATE ON flows
         FOR EACH ROW WHEN (NEW.id <> '{}') EXECUTE FUNCTION count_saves()",
        id(2)
    );
    run(&mut psql, &trigger).await;
    for (number, name) in [(1, "b"), (1, "c"), (3, "new")] {
        change(&*repository, Change::Put(flow_with(number, name, ""), Precondition::Any), stamp(1)).await;
        let counter = stored(&*repository, 2).await;
        let recorded = repository.revision(id(2), counter.version.revision).await.unwrap().unwrap();
        assert_eq!(canonical(&recorded.item), canonical(&counter.item), "{name}");
    }
    assert_eq!(stored(&*repository, 2).await.version.revision, Revision::new(4));
}

/// The row has the revision and the content hash of another document.
#[tokio::test]
async fn save_over_a_document_that_was_written_without_triggers_is_a_revision() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let put = |state| Change::Put(flow_with(1, "a", &format!(r#""gst_state":"{state}""#)), Precondition::Any);
    let mut psql = database.connect().await;
    run(&mut psql, "SET session_replication_role = replica").await;
    // The newest record is a revision, then a report.
    for (states, revision) in [(vec!["Ready"], 2), (vec!["Ready", "Playing"], 3)] {
        for state in states {
            change(&*repository, put(state), stamp(1)).await;
        }
        run(&mut psql, "UPDATE flows SET data = data || '{\"name\":\"b\"}'").await;
        let applied = change(&*repository, put("Ready"), stamp(2)).await;
        assert_eq!(applied.version.unwrap().revision, Revision::new(revision));
    }
}
