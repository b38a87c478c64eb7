//! Connections by URLs that name servers and users in unusual ways.

use strom_store::internals::samples::{change, flow, id, stamp};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{Change, FlowRepository};
use strom_test_support::cluster::{Cluster, free_port};
use strom_test_support::eventually::eventually;
use strom_test_support::postgres::{Database, count, run};
use url::Url;

async fn open(url: &str) -> PostgresRepository {
    let url = DatabaseUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    PostgresRepository::open(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_addresses_are_connected_to() {
    let cluster = Cluster::start(&["listen_addresses = '127.0.0.1, ::1'", "fsync = off"]).await;
    let (port, closed) = (cluster.port(), free_port());
    for url in [
        format!("postgresql://postgres@[::1]:{port}/postgres"),
        format!("postgresql://postgres@[::1]:{port}/postgres?sslmode=disable"),
        format!("postgresql://postgres@[::1]:{closed},[::1]:{port}/postgres?target_session_attrs=read-write"),
        format!("postgresql://postgres@127.0.0.1:{closed},[0:0:0:0:0:0:0:1]:{port}/postgres"),
        format!("postgresql://postgres@/postgres?host=::1&port={port}"),
        format!("postgresql://postgres@nowhere.invalid/postgres?hostaddr=::1&port={port}"),
    ] {
        let repository = open(&url).await;
        change(&repository, Change::create(flow(1, "over IPv6")), stamp(1)).await;
        let sessions = "SELECT COUNT(*) FROM pg_stat_activity
                        WHERE application_name LIKE 'strom/%' AND client_addr = '::1'";
        assert!(count(&mut cluster.connect().await, sessions).await > 0, "{url}");
        change(&repository, Change::delete(id(1)), stamp(2)).await;
        repository.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn default_user_is_the_user_of_the_operating_system() {
    let cluster = Cluster::start(&["fsync = off"]).await;
    let user = whoami::username().unwrap();
    let mut connection = cluster.connect().await;
    if user != "postgres" {
        run(&mut connection, &format!("CREATE ROLE \"{user}\" LOGIN SUPERUSER")).await;
    }
    let repository = open(&format!("postgresql://{}/postgres", cluster.address())).await;
    let sessions =
        format!("SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%' AND usename = '{user}'");
    assert!(repository.get(id(1)).await.unwrap().is_none());
    assert!(count(&mut connection, &sessions).await > 0);
    repository.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ssl_true_rejects_a_server_without_tls() {
    let cluster = Cluster::start(&["fsync = off"]).await;
    let url = DatabaseUrl::parse(&format!("{}?ssl=true", cluster.url())).unwrap();
    let error = PostgresRepository::open(&url).await.unwrap_err();
    assert!(error.problem.contains("TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_has_the_parameters_of_the_url() {
    let database = Database::migrated().await;
    let mut url: Url = database.url().parse().unwrap();
    url.query_pairs_mut().append_pair("application_name", "a name").append_pair("options", "-c work_mem=7MB");
    let repository = open(url.as_str()).await;
    let sessions = "SELECT COUNT(*) FROM pg_stat_activity
                    WHERE application_name = 'a name' AND datname = current_database()";
    let mut psql = database.connect().await;
    // On a busy machine, the store may take the server for unresponsive and close its sessions in the meantime.
    eventually("a session has the name", async || {
        matches!(repository.get(id(1)).await, Ok(None)) && count(&mut psql, sessions).await > 0
    })
    .await;
    repository.close().await.unwrap();
}
