//! The error of a write reports whether its outcome is known, for single saves, several changes and concurrent saves.

use futures::future::join_all;
use strom_store::internals::samples::{change, flow, id, moment, stamp};
use strom_store::repository::{Change, FlowRepositoryExt as _, Precondition, RepositoryError};
use strom_test_support::postgres::{Database, run};

/// Fails every write of a flow whose name is an error code with that code.
const FAIL_WITH_NAME: &str = "
    CREATE FUNCTION fail_with_name() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    DECLARE
        name TEXT := CASE TG_OP WHEN 'DELETE' THEN OLD.data ->> 'name' ELSE NEW.data ->> 'name' END;
    BEGIN
        IF name ~ '^[0-9A-Z]{5}$' THEN
            RAISE EXCEPTION 'failed as the test wants' USING ERRCODE = name;
        END IF;
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END $$;
    CREATE TRIGGER a_fail_with_name BEFORE INSERT OR UPDATE OR DELETE ON flows
        FOR EACH ROW EXECUTE FUNCTION fail_with_name();
";

fn is_known(error: &RepositoryError) -> bool {
    match error {
        RepositoryError::Unavailable { outcome_unknown, .. } => !outcome_unknown,
        RepositoryError::Busy(_) | RepositoryError::ReadOnly(_) | RepositoryError::Rejected(_) => true,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outcome_of_a_rolled_back_write_is_known() {
    let database = Database::migrated().await;
    run(&mut database.connect().await, FAIL_WITH_NAME).await;
    let repository = database.repository().await;
    change(&*repository, Change::create(flow(1, "stored")), stamp(1)).await;
    let before = moment(&*repository).await;
    for code in [
        "53000", "53100", "53200", "53300", "53400", "54000", "54001", "54011", "54023", "55000", "55006", "55P03",
        "57014", "57000", "58000", "58030", "40000", "40001", "40002", "40P01", "42501", "22P02", "23514", "P0001",
    ] {
        for changes in [
            vec![Change::create(flow(2, code))],
            vec![Change::replace(flow(1, code))],
            vec![Change::create(flow(3, "good")), Change::create(flow(2, code)), Change::delete(id(1))],
        ] {
            let error = repository.apply_all(changes, stamp(2)).await.unwrap_err();
            assert!(is_known(&error), "{code}: {error:?}");
        }
    }
    assert_eq!(moment(&*repository).await, before);
    repository.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn outcome_of_each_concurrent_save_is_known() {
    let database = Database::migrated().await;
    run(&mut database.connect().await, FAIL_WITH_NAME).await;
    let repository = database.repository().await;
    for code in ["53100", "54000", "57014"] {
        let saves = (1..=40).map(|number| {
            let name = if number % 8 == 0 { code } else { "good" };
            repository.apply_all(vec![Change::Put(flow(number, name), Precondition::Any)], stamp(1))
        });
        let outcomes = join_all(saves).await;
        for (number, outcome) in (1..=40).zip(outcomes) {
            match outcome {
                Ok(_) => assert_ne!(number % 8, 0, "{code}: flow {number} was rejected"),
                Err(error) => assert!(is_known(&error), "{code}: {error:?}"),
            }
        }
    }
    assert!(repository.get(id(8)).await.unwrap().is_none());
    repository.close().await.unwrap();
}
