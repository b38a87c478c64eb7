//! Read-only instances: the rights that they need, the calls that they reject, and that they write nothing.

use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use sqlx::PgConnection;
use strom_store::FlowRepository;
use strom_store::internals::feed::read_until;
use strom_store::internals::samples::{create_all, flow, id, stamp};
use strom_store::postgres::{DatabaseUrl, PostgresRepository, Settings};
use strom_store::repository::{Change, OpenError, RepositoryError, Since};
use strom_store::testkit::reading;
use url::Url;

use strom_test_support::postgres::{Database, count, run};

async fn open(url: &str) -> Result<Arc<dyn FlowRepository>, OpenError> {
    let settings = Settings::default().with_read_only(true);
    let opened = PostgresRepository::open_with(&DatabaseUrl::parse(url).unwrap(), settings).await?;
    Ok(Arc::new(opened))
}

/// A user with only the rights of a read-only instance. Users belong to the server, so the test must delete them.
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
async fn read_only_instance_needs_only_the_right_to_select() {
    let database = Database::migrated().await;
    let reader = Reader::of(&database).await;
    let repository = open(&reader.url).await.unwrap();
    reading::reader_rejects_changes_and_sees_everything(database.repository().await, repository.clone()).await;
    repository.close().await.unwrap();
    reader.drop(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_feed_equals_the_feed_of_the_writer() {
    let database = Database::migrated().await;
    let reader = open(&database.url()).await.unwrap();
    reading::reader_feed_equals_the_feed_of_the_writer(database.repository().await, reader).await;
}

/// The server rejects all writes, like a standby.
#[tokio::test(flavor = "multi_thread")]
async fn read_only_database_can_be_read() {
    let database = Database::migrated().await;
    create_all(&*database.repository().await, [flow(1, "a")]).await;
    let name = database.name();
    run(&mut database.connect().await, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let reader = open(&database.url()).await.unwrap();
    assert_eq!(reader.get(id(1)).await.unwrap().unwrap().item.head().name, "a");
    read_until(&*reader, Since::Oldest, 10, |record| record.item.id() == id(1)).await;
    // A repository without the option also reads. It receives the error when it writes.
    let other = database.repository().await;
    assert!(other.get(id(1)).await.unwrap().is_some());
    let rejected = other.apply_all(vec![Change::delete(id(1))], stamp(1)).await;
    assert!(matches!(rejected, Err(RepositoryError::ReadOnly(_))), "{rejected:?}");
}

/// The server would accept writes, but the read-only instance makes none.
#[tokio::test]
async fn read_only_instance_writes_nothing() {
    let database = Database::migrated().await;
    let mut psql = database.connect().await;
    // As in a database that was restored from a dump, in which a writing instance would start another log.
    run(&mut psql, "UPDATE flow_log SET place = 'elsewhere'").await;
    let written =
        "SELECT (SELECT COUNT(*) FROM flow_changes) + (SELECT COUNT(*) FROM flow_log WHERE place <> 'elsewhere')";
    let reader = open(&database.url()).await.unwrap();
    let rejected = reader.apply_all(vec![Change::create(flow(1, "a"))], stamp(1)).await;
    assert!(matches!(rejected, Err(RepositoryError::ReadOnlyInstance)), "{rejected:?}");
    assert_eq!(reader.changes(Since::Oldest, 10).await.unwrap().changes.len(), 0);
    reader.changes(Since::Now, 10).await.unwrap();
    reader.close().await.unwrap();
    assert_eq!(count(&mut psql, written).await, 0);
}

async fn open_error(database: &Database) -> (String, String) {
    let error = open(&database.url()).await.unwrap_err();
    (error.problem, error.remedy)
}

async fn tables(connection: &mut PgConnection) -> i64 {
    count(connection, "SELECT COUNT(*) FROM pg_class WHERE relnamespace = 'public'::REGNAMESPACE").await
}

#[tokio::test]
async fn missing_or_older_schema_is_rejected_unchanged() {
    let database = Database::empty().await;
    let mut psql = database.connect().await;
    let remedy = "On the primary, run `strom migrate` or start an instance of this version without `--read-only`. \
                  Then start again.";
    let problem = "the database has no schema yet, and a read-only instance does not create it";
    assert_eq!(open_error(&database).await, (problem.to_owned(), remedy.to_owned()));
    assert_eq!(tables(&mut psql).await, 0);

    let database = Database::migrated().await;
    let mut psql = database.connect().await;
    run(&mut psql, "INSERT INTO _sqlx_migrations SELECT 9000, 'of a newer version', NOW(), TRUE, '\\x00', 0").await;
    open(&database.url()).await.expect("a newer schema is accepted").close().await.unwrap();
    run(&mut psql, "DELETE FROM _sqlx_migrations WHERE version = 7").await;
    let problem = "its schema is older than this version: migration 0007 reports is missing, and a read-only instance does not apply it";
    assert_eq!(open_error(&database).await, (problem.to_owned(), remedy.to_owned()));
    assert_eq!(count(&mut psql, "SELECT COUNT(*) FROM _sqlx_migrations WHERE version = 7").await, 0);

    run(&mut psql, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 4").await;
    assert_eq!(
        open_error(&database).await.0,
        "migration 0004 history was applied with different content than in this version"
    );
    run(&mut psql, "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 3").await;
    assert_eq!(
        open_error(&database).await.0,
        "migration 0003 revisions was applied with different content than in this version"
    );
}

#[tokio::test]
async fn missing_right_to_select_is_named_in_the_error() {
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
