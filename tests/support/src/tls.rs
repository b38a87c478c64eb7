//! A PostgreSQL server with TLS and a certificate of an unknown authority.
//!
//! Some builds of PostgreSQL, such as the pinned package, have no TLS. Then a proxy in front of the server provides TLS
//! with the same protocol, and prints a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::cluster::{Cluster, done};
use super::postgres::count;

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns the certificate of the authority in the format of `sslrootcert`.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns certificate and key of a host.
    fn certify(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server with a certificate for one host name.
pub struct TlsServer {
    cluster: Cluster,
    proxy: Option<TlsProxy>,
}

struct TlsProxy {
    port: u16,
    handshakes: Arc<AtomicUsize>,
}

impl TlsServer {
    pub async fn start(authority: &Authority, host: &str) -> Self {
        let cluster = Cluster::prepare().await;
        let (certificate, key) = authority.certify(host);
        let mut configuration = cluster.program("pg_config");
        configuration.arg("--configure");
        let built_with_tls = ["--with-openssl", "--with-ssl"];
        let built = done(configuration).await;
        let proxy = if built_with_tls.iter().any(|option| built.contains(option)) {
            cluster.write("server.crt", &certificate);
            cluster.write("server.key", &key);
            cluster.set(&["ssl = on"]);
            cluster.begin().await;
            None
        } else {
            eprintln!("this PostgreSQL was built without TLS: a proxy in front of it provides TLS");
            cluster.begin().await;
            Some(TlsProxy::of(cluster.address(), &certificate, &key).await)
        };
        Self { cluster, proxy }
    }

    pub fn port(&self) -> u16 {
        self.proxy.as_ref().map_or_else(|| self.cluster.port(), |proxy| proxy.port)
    }

    /// Returns true if there is, or has been, a connection with TLS.
    pub async fn is_used(&self) -> bool {
        match &self.proxy {
            Some(proxy) => proxy.handshakes.swap(0, Ordering::Relaxed) > 0,
            None => {
                let secure = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                              WHERE ssl AND application_name LIKE 'strom/%'";
                count(&mut self.cluster.connect().await, secure).await > 0
            }
        }
    }
}

impl TlsProxy {
    async fn of(server: String, certificate: &str, key: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = versions.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, handshakes) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&handshakes);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, server, seen) = (acceptor.clone(), server.clone(), Arc::clone(&seen));
                tokio::spawn(async move { serve(client, acceptor, &server, &seen).await });
            }
        });
        Self { port, handshakes }
    }
}

/// Source: <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>.
async fn serve(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    server: &str,
    handshakes: &AtomicUsize,
) -> std::io::Result<()> {
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let mut server = TcpStream::connect(server).await?;
    let mut first = [0; 8];
    client.read_exact(&mut first).await?;
    if first != REQUEST {
        server.write_all(&first).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    client.write_all(b"S").await?;
    let mut secure = acceptor.accept(client).await?;
    handshakes.fetch_add(1, Ordering::Relaxed);
    copy_bidirectional(&mut secure, &mut server).await?;
    Ok(())
}
