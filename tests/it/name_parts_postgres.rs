//! The optional index over parts of names, which requires the extension pg_trgm.

use strom_store::FlowRepository;
use strom_store::internals::samples::{create_all, flow};
use strom_store::repository::{Filter, ListQuery, NamePart};

use strom_test_support::postgres::{Database, count, run, wait_for_count};

const VALID: &str = "SELECT COUNT(*) FROM pg_index WHERE indexrelid = to_regclass('flows_name_parts') AND indisvalid";

async fn search(repository: &dyn FlowRepository, part: &str) -> usize {
    let filter = Filter { name: Some(NamePart::parse(part).unwrap()), ..Filter::default() };
    repository.summaries(&ListQuery { filter, ..ListQuery::default() }).await.unwrap().items.len()
}

#[tokio::test]
async fn name_parts_index_is_built_and_used_if_pg_trgm_is_installed() {
    let database = Database::migrated().await;
    let mut psql = database.connect().await;
    let available = "SELECT COUNT(*) FROM pg_available_extensions WHERE name = 'pg_trgm'";
    let is_available = count(&mut psql, available).await > 0;
    let repository = database.repository().await;
    create_all(&*repository, (0..3_000).map(|number| flow(number, &format!("Studio {number:05} Straße")))).await;
    assert_eq!(search(&*repository, "01234 straße").await, 1, "searches work without the index");
    assert_eq!(count(&mut psql, VALID).await, 0, "the index is not built without the extension");
    repository.close().await.unwrap();
    if !is_available {
        return println!("this server has no pg_trgm");
    }
    run(&mut psql, "CREATE EXTENSION pg_trgm").await;
    let repository = database.repository().await;
    wait_for_count(&mut psql, VALID, 1).await;
    run(&mut psql, "VACUUM ANALYZE flows").await;
    assert_eq!(search(&*repository, "01234 straße").await, 1);
    repository.close().await.unwrap();
    let used = "SELECT (idx_scan > 0)::INT::BIGINT FROM pg_stat_user_indexes WHERE indexrelname = 'flows_name_parts'";
    wait_for_count(&mut psql, used, 1).await;

    // An invalid index of an interrupted build is rebuilt.
    run(&mut psql, "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'flows_name_parts'::regclass").await;
    let repository = database.repository().await;
    wait_for_count(&mut psql, VALID, 1).await;
    assert_eq!(search(&*repository, "01234 straße").await, 1);
}
