//! Connections with TLS: accepted or rejected as `sslmode` requires, with reason and remedy in the error.

use std::path::{Path, PathBuf};

use strom_store::internals::samples::{change, flow, id, stamp};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{Change, FlowRepository, OpenError};
use tempfile::TempDir;
use url::Url;

use strom_test_support::cluster::Cluster;
use strom_test_support::postgres::{Database, count};
use strom_test_support::tls::{Authority, TlsServer};

struct Roots(TempDir);

impl Roots {
    fn write(&self, name: &str, authority: &Authority) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        path
    }
}

fn url(host: &str, port: u16, mode: &str, root: &Path) -> String {
    format!("postgresql://postgres@{host}:{port}/postgres?sslmode={mode}&sslrootcert={}", root.display())
}

async fn open(url: &str) -> Result<PostgresRepository, OpenError> {
    PostgresRepository::open(&DatabaseUrl::parse(url).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_checked_as_sslmode_requires() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let roots = Roots(tempfile::tempdir().unwrap());
    let (root, other) = (roots.write("known.pem", &known), roots.write("unknown.pem", &unknown));
    let server = TlsServer::start(&known, "localhost").await;
    let port = server.port();
    let without_root = format!("postgresql://postgres@localhost:{port}/postgres?sslmode=");
    for accepted in [
        url("localhost", port, "verify-full", &root),
        // `verify-ca` does not check the host name.
        url("127.0.0.1", port, "verify-ca", &root),
        // These modes do not check the authority.
        format!("{without_root}require"),
        format!("{without_root}prefer"),
    ] {
        let repository = open(&accepted).await.unwrap_or_else(|error| panic!("{accepted}: {error}"));
        change(&repository, Change::create(flow(1, "secret")), stamp(1)).await;
        assert!(server.is_used().await, "{accepted}: the connection uses TLS");
        change(&repository, Change::delete(id(1)), stamp(2)).await;
        repository.close().await.unwrap();
    }
    for (rejected, reason) in [
        (url("localhost", port, "verify-full", &other), "certificate"),
        (url("localhost", port, "verify-ca", &other), "certificate"),
        (url("127.0.0.1", port, "verify-full", &root), "127.0.0.1"),
        // The authorities of the system do not include it.
        (format!("{without_root}verify-full"), "certificate"),
    ] {
        let error = open(&rejected).await.expect_err(&rejected);
        eprintln!("{error}\n");
        assert!(error.problem.contains(reason), "{rejected}: the reason is named: {error}");
        assert!(error.remedy.contains("sslrootcert"), "{rejected}: the remedy is named: {error}");
    }
    let plain = open(&format!("{without_root}disable")).await.unwrap();
    change(&plain, Change::create(flow(1, "not encrypted")), stamp(1)).await;
    plain.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_tls_is_rejected_if_sslmode_requires_tls() {
    let (url, _server) = without_tls().await;
    let with = |mode| {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("sslmode", mode);
        url.to_string()
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = open(&with(mode)).await.expect_err(mode);
        eprintln!("{error}\n");
        assert!(error.problem.contains("TLS"), "{mode}: {error}");
        assert!(error.remedy.contains("sslmode") && error.remedy.contains("ssl = on"), "{mode}: {error}");
    }
    for mode in ["disable", "allow", "prefer"] {
        let repository = open(&with(mode)).await.expect(mode);
        repository.close().await.unwrap();
    }
}

/// Returns a server without TLS: the server of the other tests, or a new one if that has TLS.
async fn without_tls() -> (Url, (Database, Option<Cluster>)) {
    let database = Database::migrated().await;
    let has_tls = "SELECT current_setting('ssl')::BOOLEAN::INT::BIGINT";
    if count(&mut database.connect().await, has_tls).await == 0 {
        return (database.url().parse().unwrap(), (database, None));
    }
    let cluster = Cluster::start(&["fsync = off"]).await;
    (cluster.url().parse().unwrap(), (database, Some(cluster)))
}
