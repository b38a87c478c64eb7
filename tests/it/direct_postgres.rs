//! The statements of the group commit write exactly what the triggers write for other statements.

use sqlx::PgConnection;
use strom_store::flow::{Flow, Runtime};
use strom_store::internals::Chance;
use strom_store::internals::samples::{everything, flow_with, id, stamp, time};
use strom_store::repository::{Change, FlowRepository, FlowRepositoryExt as _, Precondition, Revision};

use strom_test_support::postgres::{Database, count, run};

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

#[tokio::test]
async fn direct_statements_and_triggers_write_the_same_rows() {
    let databases = [Database::migrated().await, Database::migrated().await];
    let [direct, triggers] = [databases[0].repository().await, databases[1].repository().await];
    let [mut of_direct, mut of_triggers] = [databases[0].connect().await, databases[1].connect().await];
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
                // A list of several changes is not a matter of the group commit.
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
