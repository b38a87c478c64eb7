//! Over a real database: every writer, an outage, the order of its feed.

use std::sync::Arc;
use std::time::Duration;

use strom::clock;
use strom::last_known::{LastKnown, Settings};
use strom::postgres::{DatabaseUrl, PostgresRepository};
use strom::repository::Change;
use strom::testkit::samples::{change, create_all, flow, id, moment, stamp};

use super::{known, until_same};
use crate::support::json::until;
use crate::support::postgres::{Database, run};
use crate::support::proxy::Proxy;

/// Every writer's changes, over a connection that is cut and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_followed_through_an_outage() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let url = DatabaseUrl::parse(&proxy.url()).unwrap();
    let followed = Arc::new(PostgresRepository::open(&url).await.unwrap());
    let direct = database.repository().await;
    let mut psql = database.connect().await;
    create_all(&*direct, (1..20).map(|number| flow(number, "many"))).await;
    let last_known = LastKnown::follow(followed, Settings::default()).await;
    until_same(&last_known, &*direct).await;

    let older = "CREATE TEMP TABLE kept AS SELECT id, name, state, auto_restart, data, created_at, updated_at FROM flows; \
        DELETE FROM flows; INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at) \
        SELECT id, name, state, auto_restart, data, NOW(), NOW() FROM kept; DROP TABLE kept";
    run(&mut psql, &format!("BEGIN; {older}; COMMIT")).await;
    run(&mut psql, &format!("UPDATE flows SET name = 'by psql' WHERE id = '{}'", id(3))).await;
    let old =
        format!(r#"INSERT INTO flows (id, name, data, created_at) VALUES ('{}', 'old', '{{}}', '2020-01-01')"#, id(50));
    run(&mut psql, &old).await;
    until_same(&last_known, &*direct).await;

    proxy.cut();
    let before = moment(&*direct).await;
    run(&mut psql, &format!("DELETE FROM flows WHERE id = '{}'", id(4))).await;
    run(&mut psql, &format!("UPDATE flows SET data = data || '{{\"during\": true}}' WHERE id = '{}'", id(5))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(known(&last_known).await.unwrap(), before);
    assert!(last_known.age(clock::now()).unwrap() >= Duration::from_secs(3));
    proxy.restore();
    until_same(&last_known, &*direct).await;
}

/// A change that is committed and cannot be read in the feed yet makes the copy old, not wrong.
#[tokio::test(flavor = "multi_thread")]
async fn the_moment_is_held_back_while_a_transaction_holds_the_feed_back() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let settings = Settings { look: Duration::from_millis(50), ..Settings::default() };
    let last_known = LastKnown::follow(Arc::clone(&repository), settings).await;
    until_same(&last_known, &*repository).await;
    let mut slow = database.connect().await;
    run(&mut slow, &format!("BEGIN; UPDATE flows SET name = 'slow' WHERE id = '{}'", id(1))).await;
    change(&*repository, Change::replace(flow(2, "fast")), stamp(1)).await;
    let committed = clock::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(last_known.extent().unwrap().as_of < committed, "it does not have the change");
    run(&mut slow, "COMMIT").await;
    until_same(&last_known, &*repository).await;
    until("it is of now", async || last_known.extent().unwrap().as_of > committed).await;
}
