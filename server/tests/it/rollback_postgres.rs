//! A write that PostgreSQL answers with an error was rolled back. The response reports this, whatever the error is.

use strom_server::clock;
use strom_server::http::Access;
use strom_server::stack::Stack;
use strom_store::internals::samples::{flow, id};
use strom_test_support::postgres::{Database, count, run};

use crate::http::client::Client;

/// Fails every write of a flow whose name is an error code with that code.
const FAIL_WITH_NAME: &str = "
    CREATE FUNCTION fail_with_name() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.data ->> 'name' ~ '^[0-9A-Z]{5}$' THEN
            RAISE EXCEPTION 's3cret' USING ERRCODE = NEW.data ->> 'name';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER a_fail_with_name BEFORE INSERT OR UPDATE ON flows FOR EACH ROW EXECUTE FUNCTION fail_with_name();
";

#[tokio::test(flavor = "multi_thread")]
async fn response_reports_that_nothing_was_written_after_a_rollback() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    run(&mut connection, FAIL_WITH_NAME).await;
    let backend = database.repository().await;
    let stack = Stack::over(backend.clone()).ephemeral(clock::now()).build();
    let client = Client::with(stack, Access::Anonymous);
    let path = format!("/api/flows/{}", id(1));
    let stored = flow(1, "stored");
    assert_eq!(client.send("POST /api/flows", &[], stored.document().get()).await.status, 201);
    let before = client.shown(&format!("GET {path}")).await;
    for (status, kind, codes) in [
        (503, "unavailable", &["53000", "53100", "53200", "53400", "58000", "58030", "57000"][..]),
        (503, "busy", &["53300", "55P03", "57014", "40000", "40001", "40002", "40P01"]),
        (500, "internal", &["54000", "54001", "54011", "23514", "22003", "P0001", "XX000", "42883"]),
    ] {
        for code in codes {
            let (one, new) = (flow(1, code), flow(2, code));
            for (line, body) in
                [(format!("PUT {path}"), one.document().get()), ("POST /api/flows".to_owned(), new.document().get())]
            {
                let answer = client.send(&line, &[], body).await;
                let problem = answer.json();
                let case = format!("{code}: {line}: {}", answer.body);
                assert_eq!(
                    (answer.status, &problem["type"]),
                    (status, &format!("urn:strom:problem:{kind}").into()),
                    "{case}"
                );
                assert!(problem["detail"].as_str().unwrap().contains("nothing was written"), "{case}");
                assert!(!answer.body.contains("s3cret") && !answer.body.contains(code), "{case}");
                assert_eq!(answer.headers.contains_key("retry-after"), status == 503, "{case}");
            }
        }
    }
    assert_eq!(client.shown(&format!("GET {path}")).await, before);
    assert_eq!(count(&mut connection, "SELECT COUNT(*) FROM flow_changes").await, 1, "no change was recorded");
    backend.close().await.unwrap();
}

/// The session has ended, perhaps after a commit whose confirmation was lost.
#[tokio::test(flavor = "multi_thread")]
async fn response_reports_an_unknown_outcome_after_a_lost_session() {
    let database = Database::migrated().await;
    run(&mut database.connect().await, FAIL_WITH_NAME).await;
    let backend = database.repository().await;
    let client = Client::new(backend.clone());
    for code in ["08006", "08007", "40003", "57P01", "57P02"] {
        let answer = client.send("POST /api/flows", &[], flow(1, code).document().get()).await;
        assert_eq!(
            (answer.status, answer.json()["type"].as_str()),
            (503, Some("urn:strom:problem:unavailable")),
            "{code}"
        );
        assert!(answer.json()["detail"].as_str().unwrap().contains("may have been stored"), "{code}: {}", answer.body);
    }
    backend.close().await.unwrap();
}
