//! Users without rights to change the schema, and a separate URL for migrations.

use sqlx::PgConnection;
use strom_store::FlowRepository;
use strom_store::internals::samples::{self, stamp};
use strom_store::postgres::{DatabaseUrl, PostgresRepository, Settings, migrate, migrations};
use strom_store::repository::FlowRepositoryExt as _;
use strom_store::repository::{Change, ListQuery, OpenError};
use strom_test_support::clock;
use url::Url;

use strom_test_support::given_table::{GIVEN_TABLE, fill_given_table, objects};
use strom_test_support::postgres::{Database, run};

/// A user with a unique name, because all databases share the users of the server. [`Self::drop`] deletes it.
struct User {
    name: String,
    url: DatabaseUrl,
}

impl User {
    async fn create(database: &Database, connection: &mut PgConnection) -> Self {
        let name = format!("strom_test_user_{}", clock::new_id().as_uuid().simple());
        run(connection, &format!("CREATE ROLE {name} LOGIN PASSWORD 'strom'")).await;
        let mut url = Url::parse(&database.url()).unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("strom")).unwrap();
        Self { name, url: DatabaseUrl::parse(url.as_str()).unwrap() }
    }

    async fn open(&self) -> Result<PostgresRepository, OpenError> {
        PostgresRepository::open(&self.url).await
    }

    async fn drop(self, connection: &mut PgConnection) {
        run(connection, &format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }

    /// Returns a block of SQL from docs/database.md, with the name of this user.
    fn grants(&self, block: usize) -> String {
        let blocks: Vec<_> = include_str!("../../docs/database.md").split("```sql\n").skip(1).collect();
        let (statements, _) = blocks[block].split_once("```").unwrap();
        assert!(statements.contains(" TO strom_server;"));
        statements.replace("strom_server", &self.name)
    }
}

/// Makes every kind of access that a server makes.
async fn check_access(repository: &PostgresRepository) {
    let (flow, changed) = (samples::flow(1, "one"), samples::flow(1, "two"));
    for (change, second) in [
        (Change::create(flow.clone()), 1),
        (Change::replace(changed.clone()), 2),
        (Change::delete(flow.id()), 3),
        (Change::create(changed), 4),
    ] {
        repository.apply_all(vec![change], stamp(second)).await.unwrap();
    }
    assert!(repository.get(flow.id()).await.unwrap().is_some());
    assert_eq!(repository.list(&ListQuery::default()).await.unwrap().items.len(), 1);
    assert_eq!(repository.history(flow.id(), None, 10).await.unwrap().len(), 4);
}

fn problem_and_remedy(error: OpenError) -> (String, String) {
    (error.problem, error.remedy)
}

#[tokio::test]
async fn user_without_schema_rights_starts_and_serves() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    // The default since PostgreSQL 15.
    run(&mut connection, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    // As in a hardened database.
    run(&mut connection, "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC").await;
    let user = User::create(&database, &mut connection).await;
    let remedy = format!(
        "As the owner of the tables, run all GRANT statements of docs/database.md for the role \"{}\".",
        user.name
    );
    let expected = ("permission denied for table _sqlx_migrations".to_owned(), remedy);
    assert_eq!(problem_and_remedy(user.open().await.unwrap_err()), expected);

    run(&mut connection, &user.grants(0)).await;
    let repository = user.open().await.unwrap();
    check_access(&repository).await;
    repository.close().await.unwrap();
    assert!(migrations(&user.url).await.unwrap().is_up_to_date());
    // Retention deletes records.
    let mut restricted = database.connect().await;
    run(&mut restricted, &format!("SET ROLE {}", user.name)).await;
    run(&mut restricted, "DELETE FROM flow_changes WHERE operation = 'create'").await;

    // A start after a restore from a dump begins another log.
    run(&mut connection, "UPDATE flow_log SET place = 'elsewhere'").await;
    user.open().await.unwrap().close().await.unwrap();
    let log: bool =
        sqlx::query_scalar("SELECT place = strom_place() FROM flow_log").fetch_one(&mut connection).await.unwrap();
    assert!(log, "the database has a new log");
    user.drop(&mut connection).await;
}

#[tokio::test]
async fn pending_migrations_require_the_owner() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let user = User::create(&database, &mut connection).await;
    let remedy = format!(
        "Run `strom migrate` with the URL of the owner, or make this user the owner: `ALTER DATABASE \"{}\" OWNER TO \
         \"{}\"`, and the same for its tables.",
        database.name(),
        user.name
    );
    let expected_error = |what: &str| (what.to_owned(), remedy.clone());
    let expected = expected_error("migration 0001 flows failed: permission denied for schema public");
    assert_eq!(problem_and_remedy(user.open().await.unwrap_err()), expected);
    assert!(objects(&mut connection).await.is_empty());

    // A table of another user, in a schema in which every user may create objects.
    run(&mut connection, GIVEN_TABLE).await;
    run(&mut connection, "GRANT CREATE ON SCHEMA public TO PUBLIC").await;
    let before = objects(&mut connection).await;
    let expected = expected_error("migration 0001 flows failed: must be owner of table flows");
    assert_eq!(problem_and_remedy(user.open().await.unwrap_err()), expected);
    run(&mut connection, "DROP INDEX idx_flows_state").await;
    let expected = expected_error("the index idx_flows_state cannot be built or dropped: must be owner of table flows");
    assert_eq!(problem_and_remedy(user.open().await.unwrap_err()), expected);
    run(&mut connection, "CREATE INDEX idx_flows_state ON flows (state)").await;
    assert_eq!(objects(&mut connection).await, before, "a failed start creates no object");

    let status = migrations(&user.url).await.unwrap();
    assert!(!status.is_up_to_date(), "reading the status requires no rights");
    let owner = DatabaseUrl::parse(&database.url()).unwrap();
    assert_eq!(migrate(&owner, None).await.unwrap().len(), 15);
    run(&mut connection, &user.grants(0)).await;
    user.open().await.unwrap().close().await.unwrap();
    user.drop(&mut connection).await;
}

#[tokio::test]
async fn migrations_use_the_url_of_the_owner() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let user = User::create(&database, &mut connection).await;
    run(&mut connection, &user.grants(1)).await;
    let owner = DatabaseUrl::parse(&database.url()).unwrap();
    let settings = Settings::default().with_migrations(Some(owner));
    let repository = PostgresRepository::open_with(&user.url, settings).await.unwrap();
    check_access(&repository).await;
    repository.close().await.unwrap();

    // Without pending migrations, the URL for migrations is not used.
    let unreachable = DatabaseUrl::parse("postgresql://strom@127.0.0.1:1/flows").unwrap();
    let settings = Settings::default().with_migrations(Some(unreachable));
    PostgresRepository::open_with(&user.url, settings).await.unwrap().close().await.unwrap();
    user.drop(&mut connection).await;
}

#[tokio::test]
async fn migrations_url_of_another_database_is_rejected() {
    let (database, other) = (Database::empty().await, Database::empty().await);
    let mut connection = database.connect().await;
    run(&mut connection, GIVEN_TABLE).await;
    fill_given_table(&mut connection, 3).await;
    let before = objects(&mut connection).await;
    let [url, direct] = [&database, &other].map(|database| DatabaseUrl::parse(&database.url()).unwrap());
    for _ in 0..2 {
        let error = migrate(&url, Some(&direct)).await.unwrap_err();
        let expected = (
            format!("migrations were applied at {direct}, but they are still pending here"),
            "Make --migrate-database-url and --database-url name the same database and the same schema (search_path)."
                .to_owned(),
        );
        assert_eq!((error.location.clone(), problem_and_remedy(error)), (url.to_string(), expected));
    }
    assert_eq!(objects(&mut connection).await, before);
}
