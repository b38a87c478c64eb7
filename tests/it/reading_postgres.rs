//! Instances that only read a database: what they need, what they refuse, and what they never do.

use std::sync::Arc;

use sqlx::PgConnection;
use strom::FlowRepository;
use strom::postgres::{DatabaseUrl, PostgresRepository, Settings};
use strom::repository::{Change, OpenError, RepositoryError, Since};
use strom::testkit::feed::read_until;
use strom::testkit::reading;
use strom::testkit::samples::{create_all, flow, id, stamp};
use url::Url;

use crate::support::postgres::{Database, count, run};

async fn open(url: &str) -> Result<Arc<dyn FlowRepository>, OpenError> {
    let settings = Settings { read_only: true, ..Settings::default() };
    let opened = PostgresRepository::open_with(&DatabaseUrl::parse(url).unwrap(), settings).await?;
    Ok(Arc::new(opened))
}

/// A user who may do nothing but read what a read-only instance reads. Users belong to the server and outlive a database.
struct Reader {
    name: String,
    url: String,
}

impl Reader {
    async fn of(database: &Database) -> Self {
        let name = format!("{}_reader", database.name());
        let mut owner = database.connect().await;
        run(&mut owner, &format!("CREATE ROLE {name} LOGIN PASSWORD 'reader'")).await;
        run(&mut owner, &format!("GRANT SELECT ON flows, flow_changes, flow_log, _sqlx_migrations TO {name}")).await;
        let mut url = Url::parse(&database.url()).unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("reader")).unwrap();
        Self { name, url: url.into() }
    }

    async fn drop(self, database: &Database) {
        run(&mut database.connect().await, &format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_only_read_is_enough() {
    let database = Database::migrated().await;
    let reader = Reader::of(&database).await;
    let repository = open(&reader.url).await.unwrap();
    reading::a_reader_refuses_changes_and_reads_as_ever(database.repository().await, repository.clone()).await;
    repository.close().await;
    reader.drop(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_tells_what_the_writer_does() {
    let database = Database::migrated().await;
    let reader = open(&database.url()).await.unwrap();
    reading::a_reader_tells_what_the_writer_does(database.repository().await, reader).await;
}

/// Where the server lets nobody write, as a standby does.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_is_read() {
    let database = Database::migrated().await;
    create_all(&*database.repository().await, [flow(1, "a")]).await;
    let name = database.name();
    run(&mut database.connect().await, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let reader = open(&database.url()).await.unwrap();
    assert_eq!(reader.get(id(1)).await.unwrap().unwrap().item.head().name, "a");
    read_until(&*reader, Since::Oldest, 10, |record| record.item.id() == id(1)).await;
    // So does whoever was not told so; he finds out when he writes.
    let other = database.repository().await;
    assert!(other.get(id(1)).await.unwrap().is_some());
    let refused = other.apply(vec![Change::delete(id(1))], stamp(1)).await;
    assert!(matches!(refused, Err(RepositoryError::ReadOnly(_))), "{refused:?}");
}

/// The program is told to read only; the server would let it write, and it does not try.
#[tokio::test]
async fn a_reader_writes_nothing_where_it_could() {
    let database = Database::migrated().await;
    let mut psql = database.connect().await;
    // As in a database that was restored from a dump, where a writer begins another log.
    run(&mut psql, "UPDATE flow_log SET place = 'elsewhere'").await;
    let written =
        "SELECT (SELECT COUNT(*) FROM flow_changes) + (SELECT COUNT(*) FROM flow_log WHERE place <> 'elsewhere')";
    let reader = open(&database.url()).await.unwrap();
    let refused = reader.apply(vec![Change::create(flow(1, "a"))], stamp(1)).await;
    assert!(matches!(refused, Err(RepositoryError::ReadOnlyInstance)), "{refused:?}");
    assert_eq!(reader.changes(Since::Oldest, 10).await.unwrap().changes.len(), 0);
    reader.changes(Since::Now, 10).await.unwrap();
    reader.close().await;
    assert_eq!(count(&mut psql, written).await, 0);
}

async fn refused(database: &Database) -> (String, String) {
    let error = open(&database.url()).await.unwrap_err();
    (error.problem, error.remedy)
}

async fn tables(connection: &mut PgConnection) -> i64 {
    count(connection, "SELECT COUNT(*) FROM pg_class WHERE relnamespace = 'public'::REGNAMESPACE").await
}

#[tokio::test]
async fn a_schema_that_is_not_there_or_older_is_refused_and_left_alone() {
    let database = Database::empty().await;
    let mut psql = database.connect().await;
    let remedy = "Run `strom migrate` on the primary, or start a Strom of this version without `--read-only` there, which migrates; \
         then start again.";
    let problem = "no Strom has migrated it yet, and a read-only instance does not";
    assert_eq!(refused(&database).await, (problem.to_owned(), remedy.to_owned()));
    assert_eq!(tables(&mut psql).await, 0);

    let database = Database::migrated().await;
    let mut psql = database.connect().await;
    run(&mut psql, "INSERT INTO _sqlx_migrations SELECT 9000, 'of a newer one', NOW(), TRUE, '\\x00', 0").await;
    open(&database.url()).await.expect("a newer schema is good enough").close().await;
    run(&mut psql, "DELETE FROM _sqlx_migrations WHERE version = 7").await;
    let problem = "its schema is older than this Strom: migration 0007 reports is missing, and a read-only instance does not migrate";
    assert_eq!(refused(&database).await, (problem.to_owned(), remedy.to_owned()));
    assert_eq!(count(&mut psql, "SELECT COUNT(*) FROM _sqlx_migrations WHERE version = 7").await, 0);

    run(&mut psql, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 4").await;
    assert_eq!(refused(&database).await.0, "its migration 0004 history is not the one of this version");
    run(&mut psql, "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 3").await;
    assert_eq!(refused(&database).await.0, "its migration 0003 revisions is not the one of this version");
}

#[tokio::test]
async fn a_user_who_may_not_even_read_is_told_what_is_needed() {
    let database = Database::migrated().await;
    let reader = Reader::of(&database).await;
    let mut owner = database.connect().await;
    for table in ["flow_changes", "_sqlx_migrations"] {
        run(&mut owner, &format!("REVOKE SELECT ON {table} FROM {}", reader.name)).await;
        let error = open(&reader.url).await.unwrap_err();
        assert_eq!(error.problem, format!("permission denied for table {table}"));
        assert!(error.remedy.contains("docs/database.md"), "{error}");
    }
    reader.drop(&database).await;
}
