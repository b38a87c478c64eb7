//! psql and an older version write to the table while the server runs. Clients see these changes like changes over HTTP.

use serde_json::{Value, json};
use strom_store::internals::feed::{self, read};
use strom_store::internals::history::{self, history};
use strom_store::repository::{Operation, Since};

use crate::http::client::{Answer, Client, ID};
use strom_test_support::postgres::{Database, count, run};

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

/// Counts the rows whose columns differ from their document.
const INCONSISTENT_ROWS: &str = "SELECT COUNT(*) FROM flows WHERE data ->> 'id' <> id::TEXT OR data ->> 'name' <> name
    OR state <> coalesce(data ->> 'gst_state', 'Null')
    OR auto_restart <> coalesce((data #>> '{properties,auto_restart}')::BOOLEAN, FALSE)";

#[tokio::test(flavor = "multi_thread")]
async fn clients_see_changes_by_psql_and_by_an_older_version() {
    let database = Database::migrated().await;
    let (served, other) = (database.repository().await, database.repository().await);
    let client = Client::new(served);
    let mut psql = database.connect().await;
    let upsert = |name: &str, state: &str| {
        format!(
            r#"INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at)
               VALUES ('{ID}', '{name}', '{state}', false,
                       '{{"id": "{ID}", "name": "{name}", "gst_state": "{state}"}}', NOW(), NOW())
               ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, state = EXCLUDED.state, data = EXCLUDED.data,
                   auto_restart = EXCLUDED.auto_restart, created_at = EXCLUDED.created_at, updated_at = NOW();"#
        )
    };
    // Each statement with whether it creates a revision, and the name and state that clients see.
    let statements = [
        (
            format!("INSERT INTO flows (id, name, data) VALUES ('{ID}', 'by hand', '{{}}')"),
            true,
            "by hand",
            Value::Null,
        ),
        ("UPDATE flows SET name = 'renamed'".to_owned(), true, "renamed", Value::Null),
        ("UPDATE flows SET state = 'Playing'".to_owned(), false, "renamed", json!("Playing")),
        (r#"UPDATE flows SET data = data || '{"n": 1}'"#.to_owned(), true, "renamed", json!("Playing")),
        (upsert("older", "Ready"), true, "older", json!("Ready")),
        (upsert("older", "Paused"), false, "older", json!("Paused")),
        (upsert("older", "Paused"), false, "older", json!("Paused")),
        (format!("BEGIN; DELETE FROM flows; {} COMMIT", upsert("replaced", "Null")), true, "replaced", json!("Null")),
        ("UPDATE flows SET auto_restart = TRUE".to_owned(), true, "replaced", json!("Null")),
    ];
    let path = format!("/api/flows/{ID}");
    let get = async || client.send(&format!("GET {path}"), &[], "").await;
    assert_eq!(get().await.status, 404);
    let mut last = None;
    for (statement, is_revision, name, state) in statements {
        run(&mut psql, &statement).await;
        let seen = get().await;
        let tag = etag(&seen);
        let flow = seen.json()["flow"].clone();
        assert_eq!((&flow["name"], flow["gst_state"].clone()), (&json!(name), state), "{statement}");
        assert_eq!(last.as_ref() != Some(&tag), is_revision, "{statement}: {last:?} {tag}");
        let unchanged = client.send(&format!("GET {path}"), &[("if-none-match", &tag)], "").await;
        assert_eq!(unchanged.status, 304, "{statement}");
        if let Some(old) = last.filter(|old| *old != tag) {
            let mine = json!({"id": ID, "name": "mine"}).to_string();
            let refused = client.send(&format!("PUT {path}"), &[("if-match", &old)], &mine).await;
            assert_eq!(refused.status, 412, "{statement}");
            let deletion = client.send(&format!("DELETE {path}"), &[("if-match", &old)], "").await;
            assert_eq!(deletion.status, 412, "{statement}");
        }
        assert_eq!(count(&mut psql, INCONSISTENT_ROWS).await, 0, "{statement}");
        last = Some(tag);
    }
    // The client continues with the `ETag` of a row that psql wrote.
    let edit = json!({"id": ID, "name": "mine", "properties": {"auto_restart": true}}).to_string();
    let saved = client.send(&format!("PUT {path}"), &[("if-match", &last.unwrap())], &edit).await;
    assert_eq!((saved.status, etag(&saved).as_str()), (200, "\"7\""));
    run(&mut psql, "DELETE FROM flows").await;
    assert_eq!(get().await.status, 404);

    use Operation::{Create, Delete, State, Update};
    let mut records = read(&*other, Since::Oldest).await;
    assert_eq!(records.iter().filter(|record| record.author.as_str() == "sql").count(), 7, "{records:?}");
    records.retain(|record| record.operation != State);
    let changes = feed::operations(&records);
    let expected: Vec<_> = [(1, Create, 1)].into_iter().chain((2..=7).map(|n| (1, Update, n))).collect();
    assert_eq!(changes[..7], expected);
    assert_eq!(changes[7..], [(1, Delete, 8)]);
    let mut expected: Vec<_> = changes.iter().map(|(_, operation, revision)| (*operation, *revision)).collect();
    expected.reverse();
    assert_eq!(history::operations(&history(&*other, 1).await), expected);
}
