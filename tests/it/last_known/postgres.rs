//! The last-known copy of a PostgreSQL database.

use std::sync::Arc;
use std::time::Duration;

use strom_store::internals::samples::{change, create_all, flow, id, moment, stamp};
use strom_store::last_known::{LastKnown, Settings};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::Change;
use strom_test_support::clock;

use super::{known, until_same};
use strom_test_support::cable::Cable;
use strom_test_support::eventually::eventually;
use strom_test_support::postgres::{Database, run};
use strom_test_support::proxy::Proxy;

/// The copy contains the changes of every writer, also after its connection was cut.
#[tokio::test(flavor = "multi_thread")]
async fn copy_follows_every_writer_through_an_outage() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let url = DatabaseUrl::parse(&proxy.url()).unwrap();
    let followed = Arc::new(PostgresRepository::open(&url).await.unwrap());
    let direct = database.repository().await;
    let mut psql = database.connect().await;
    create_all(&*direct, (1..20).map(|number| flow(number, "many"))).await;
    let counted = Cable::to(followed);
    let last_known = LastKnown::follow(Arc::<Cable>::clone(&counted), Settings::default()).await;
    until_same(&last_known, &*direct).await;

    let older = "CREATE TEMP TABLE saved AS SELECT id, name, state, auto_restart, data, created_at, updated_at FROM flows; \
        DELETE FROM flows; INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at) \
        SELECT id, name, state, auto_restart, data, NOW(), NOW() FROM saved; DROP TABLE saved";
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
    let (_, failed) = counted.feed_reads();
    eventually("the feed cannot be read", async || counted.feed_reads().1 > failed).await;
    assert_eq!(known(&last_known).await.unwrap(), before);
    let (as_of, hour) = (last_known.extent().unwrap().as_of, Duration::from_secs(3_600));
    assert_eq!(last_known.age(as_of + hour), Some(hour));
    proxy.restore();
    until_same(&last_known, &*direct).await;
}

/// A committed change that the feed still holds back makes the copy old, not wrong.
#[tokio::test(flavor = "multi_thread")]
async fn copy_stays_old_while_a_transaction_holds_back_the_feed() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let settings = Settings::default().with_look(Duration::from_millis(50));
    let counted = Cable::to(Arc::clone(&repository));
    let last_known = LastKnown::follow(Arc::<Cable>::clone(&counted), settings).await;
    until_same(&last_known, &*repository).await;
    let mut slow = database.connect().await;
    run(&mut slow, &format!("BEGIN; UPDATE flows SET name = 'slow' WHERE id = '{}'", id(1))).await;
    change(&*repository, Change::replace(flow(2, "fast")), stamp(1)).await;
    let committed = clock::now();
    let (read, _) = counted.feed_reads();
    // The first read may have started before the commit. The third read starts after the copy has the result of the
    // second.
    eventually("the feed is read", async || counted.feed_reads().0 >= read + 3).await;
    assert!(last_known.extent().unwrap().as_of < committed, "the copy does not contain the change");
    run(&mut slow, "COMMIT").await;
    until_same(&last_known, &*repository).await;
    eventually("the copy is newer than the commit", async || last_known.extent().unwrap().as_of > committed).await;
}
