//! Users who may not change the schema, and a second address for migrations.

use sqlx::PgConnection;
use strom::postgres::{DatabaseUrl, PostgresRepository, Settings, migrate, migrations};
use strom::repository::{Change, ListQuery, OpenError};
use strom::testkit::samples::{self, stamp};
use strom::{FlowRepository, clock};
use url::Url;

use crate::migrations::{GIVEN_TABLE, fill_given_table, objects};
use crate::support::postgres::{Database, run};

/// A user of the server, which all databases share: of a name of its own, and gone with the value of [`Self::drop`].
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

    /// The statements of docs/database.md, one block after the other, for this user.
    fn grants(&self, block: usize) -> String {
        let blocks: Vec<_> = include_str!("../../docs/database.md").split("```sql\n").skip(1).collect();
        let (statements, _) = blocks[block].split_once("```").unwrap();
        assert!(statements.contains(" TO strom_server;"));
        statements.replace("strom_server", &self.name)
    }
}

/// Everything a server does to a database.
async fn serves(repository: &PostgresRepository) {
    let (flow, changed) = (samples::flow(1, "one"), samples::flow(1, "two"));
    for (change, second) in [
        (Change::create(flow.clone()), 1),
        (Change::replace(changed.clone()), 2),
        (Change::delete(flow.id()), 3),
        (Change::create(changed), 4),
    ] {
        repository.apply(vec![change], stamp(second)).await.unwrap();
    }
    assert!(repository.get(flow.id()).await.unwrap().is_some());
    assert_eq!(repository.list(&ListQuery::default()).await.unwrap().items.len(), 1);
    assert_eq!(repository.history(flow.id(), None, 10).await.unwrap().len(), 4);
}

fn said(error: OpenError) -> (String, String) {
    (error.problem, error.remedy)
}

#[tokio::test]
async fn a_user_who_may_not_change_the_schema_starts_and_serves() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    // As since PostgreSQL 15.
    run(&mut connection, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let user = User::create(&database, &mut connection).await;
    let remedy = format!(
        "Let the owner grant what docs/database.md lists: `GRANT SELECT ON _sqlx_migrations TO \"{}\"` and the others.",
        user.name
    );
    let expected = ("permission denied for table _sqlx_migrations".to_owned(), remedy);
    assert_eq!(said(user.open().await.unwrap_err()), expected);

    run(&mut connection, &user.grants(0)).await;
    let repository = user.open().await.unwrap();
    serves(&repository).await;
    repository.close().await;
    assert!(migrations(&user.url).await.unwrap().is_up_to_date());
    // What retention does.
    let mut restricted = database.connect().await;
    run(&mut restricted, &format!("SET ROLE {}", user.name)).await;
    run(&mut restricted, "DELETE FROM flow_changes WHERE operation = 'create'").await;

    // What a start does in a database that was restored from a dump.
    run(&mut connection, "UPDATE flow_log SET place = 'elsewhere'").await;
    user.open().await.unwrap().close().await;
    let log: bool =
        sqlx::query_scalar("SELECT place = strom_place() FROM flow_log").fetch_one(&mut connection).await.unwrap();
    assert!(log, "it goes on in another log");
    user.drop(&mut connection).await;
}

#[tokio::test]
async fn what_is_pending_is_for_the_owner() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let user = User::create(&database, &mut connection).await;
    let remedy = format!(
        "Run `strom migrate` with the URL of the owner, or let the database belong to this user: `ALTER DATABASE … OWNER \
         TO \"{}\"`.",
        user.name
    );
    let refused = |what: &str| (what.to_owned(), remedy.clone());
    let expected = refused("migration 0001 flows failed: permission denied for schema public");
    assert_eq!(said(user.open().await.unwrap_err()), expected);
    assert!(objects(&mut connection).await.is_empty());

    // The table of somebody else, in a schema that everybody may fill.
    run(&mut connection, GIVEN_TABLE).await;
    run(&mut connection, "GRANT CREATE ON SCHEMA public TO PUBLIC").await;
    let before = objects(&mut connection).await;
    let expected = refused("migration 0001 flows failed: must be owner of table flows");
    assert_eq!(said(user.open().await.unwrap_err()), expected);
    run(&mut connection, "DROP INDEX idx_flows_state").await;
    let expected = refused("the index idx_flows_state cannot be built or dropped: must be owner of table flows");
    assert_eq!(said(user.open().await.unwrap_err()), expected);
    run(&mut connection, "CREATE INDEX idx_flows_state ON flows (state)").await;
    assert_eq!(objects(&mut connection).await, before, "nothing stays that belongs to the wrong user");

    let status = migrations(&user.url).await.unwrap();
    assert!(!status.is_up_to_date(), "looking needs no rights");
    let owner = DatabaseUrl::parse(&database.url()).unwrap();
    assert_eq!(migrate(&owner, None).await.unwrap().len(), 11);
    run(&mut connection, &user.grants(0)).await;
    user.open().await.unwrap().close().await;
    user.drop(&mut connection).await;
}

#[tokio::test]
async fn the_owners_address_migrates_for_a_user_who_may_not() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let user = User::create(&database, &mut connection).await;
    run(&mut connection, &user.grants(1)).await;
    let owner = DatabaseUrl::parse(&database.url()).unwrap();
    let settings = Settings { migrations: Some(owner), ..Settings::default() };
    let repository = PostgresRepository::open_with(&user.url, settings).await.unwrap();
    serves(&repository).await;
    repository.close().await;

    // It is not asked when nothing is missing.
    let nobody = DatabaseUrl::parse("postgresql://strom@127.0.0.1:1/flows").unwrap();
    let settings = Settings { migrations: Some(nobody), ..Settings::default() };
    PostgresRepository::open_with(&user.url, settings).await.unwrap().close().await;
    user.drop(&mut connection).await;
}

#[tokio::test]
async fn an_address_for_migrations_that_leads_elsewhere_is_told() {
    let (database, elsewhere) = (Database::empty().await, Database::empty().await);
    let mut connection = database.connect().await;
    run(&mut connection, GIVEN_TABLE).await;
    fill_given_table(&mut connection, 3).await;
    let before = objects(&mut connection).await;
    let [url, direct] = [&database, &elsewhere].map(|database| DatabaseUrl::parse(&database.url()).unwrap());
    for _ in 0..2 {
        let error = migrate(&url, Some(&direct)).await.unwrap_err();
        let expected = (
            format!("it still lacks migrations after they were made in {direct}"),
            "The address for migrations must lead to the same database and schema.".to_owned(),
        );
        assert_eq!((error.location.clone(), said(error)), (url.to_string(), expected));
    }
    assert_eq!(objects(&mut connection).await, before);
}
