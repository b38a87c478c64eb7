//! The index over the parts of names, where the server has the extension for it.

use strom::FlowRepository;
use strom::repository::{Filter, ListQuery, NamePart};
use strom::testkit::samples::{create_all, flow};

use crate::support::postgres::{Database, count, run, wait_for_count};

const VALID: &str = "SELECT COUNT(*) FROM pg_index WHERE indexrelid = to_regclass('flows_name_parts') AND indisvalid";

async fn search(repository: &dyn FlowRepository, part: &str) -> usize {
    let filter = Filter { name: Some(NamePart::parse(part).unwrap()), ..Filter::default() };
    repository.summaries(&ListQuery { filter, ..ListQuery::default() }).await.unwrap().items.len()
}

#[tokio::test]
async fn it_is_built_where_it_can_be_and_used() {
    let database = Database::migrated().await;
    let mut psql = database.connect().await;
    let available = "SELECT COUNT(*) FROM pg_available_extensions WHERE name = 'pg_trgm'";
    let is_available = count(&mut psql, available).await > 0;
    let repository = database.repository().await;
    create_all(&*repository, (0..3_000).map(|number| flow(number, &format!("Studio {number:05} Straße")))).await;
    assert_eq!(search(&*repository, "01234 straße").await, 1, "nothing depends on it");
    assert_eq!(count(&mut psql, VALID).await, 0, "nobody has asked for it");
    repository.close().await;
    if !is_available {
        return println!("this server has no pg_trgm");
    }
    run(&mut psql, "CREATE EXTENSION pg_trgm").await;
    let repository = database.repository().await;
    wait_for_count(&mut psql, VALID, 1).await;
    run(&mut psql, "VACUUM ANALYZE flows").await;
    assert_eq!(search(&*repository, "01234 straße").await, 1);
    repository.close().await;
    let used = "SELECT (idx_scan > 0)::INT::BIGINT FROM pg_stat_user_indexes WHERE indexrelname = 'flows_name_parts'";
    wait_for_count(&mut psql, used, 1).await;

    // What an interrupted build leaves is built anew.
    run(&mut psql, "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'flows_name_parts'::regclass").await;
    let repository = database.repository().await;
    wait_for_count(&mut psql, VALID, 1).await;
    assert_eq!(search(&*repository, "01234 straße").await, 1);
}
