//! Secure connections: made when they can be, and refused with the reason and the remedy when they cannot.

use std::path::{Path, PathBuf};

use strom::postgres::{DatabaseUrl, PostgresRepository};
use strom::repository::{Change, FlowRepository, OpenError};
use strom::testkit::samples::{change, flow, id, stamp};
use tempfile::TempDir;

use crate::support::cluster::Cluster;
use crate::support::tls::{Authority, TlsServer};

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
async fn a_certificate_is_checked_as_far_as_it_is_asked_for() {
    let (known, stranger) = (Authority::new("known"), Authority::new("stranger"));
    let roots = Roots(tempfile::tempdir().unwrap());
    let (root, other) = (roots.write("known.pem", &known), roots.write("stranger.pem", &stranger));
    let server = TlsServer::start(&known, "localhost").await;
    let port = server.port();
    let nowhere = format!("postgresql://postgres@localhost:{port}/postgres?sslmode=");
    for good in [
        url("localhost", port, "verify-full", &root),
        // The name is not asked for.
        url("127.0.0.1", port, "verify-ca", &root),
        // Nor is who signed it.
        format!("{nowhere}require"),
        format!("{nowhere}prefer"),
    ] {
        let repository = open(&good).await.unwrap_or_else(|error| panic!("{good}: {error}"));
        change(&repository, Change::create(flow(1, "secret")), stamp(1)).await;
        assert!(server.is_used().await, "{good}: the connection is secure");
        change(&repository, Change::delete(id(1)), stamp(2)).await;
        repository.close().await;
    }
    for (bad, reason) in [
        (url("localhost", port, "verify-full", &other), "certificate"),
        (url("localhost", port, "verify-ca", &other), "certificate"),
        (url("127.0.0.1", port, "verify-full", &root), "127.0.0.1"),
        // The system's authorities do not know it either.
        (format!("{nowhere}verify-full"), "certificate"),
    ] {
        let error = open(&bad).await.expect_err(&bad);
        eprintln!("{error}\n");
        assert!(error.problem.contains(reason), "{bad}: the reason is named: {error}");
        assert!(error.remedy.contains("sslrootcert"), "{bad}: the remedy is named: {error}");
    }
    let plain = open(&format!("{nowhere}disable")).await.unwrap();
    change(&plain, Change::create(flow(1, "for all to read")), stamp(1)).await;
    plain.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let cluster = Cluster::start(&["fsync = off"]).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = open(&format!("{}?sslmode={mode}", cluster.url())).await.expect_err(mode);
        eprintln!("{error}\n");
        assert!(error.problem.contains("TLS"), "{mode}: {error}");
        assert!(error.remedy.contains("sslmode") && error.remedy.contains("ssl = on"), "{mode}: {error}");
    }
    for mode in ["disable", "allow", "prefer"] {
        let repository = open(&format!("{}?sslmode={mode}", cluster.url())).await.expect(mode);
        repository.close().await;
    }
}
