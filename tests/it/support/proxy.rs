//! A cable between Strom and PostgreSQL that can be cut.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Passes bytes between a port of its own and a database.
pub(crate) struct Proxy {
    url: Url,
    intact: Arc<watch::Sender<bool>>,
}

impl Proxy {
    pub(crate) async fn before(database: &str) -> Self {
        let mut url = Url::parse(database).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let intact = Arc::new(watch::Sender::new(true));
        tokio::spawn(accept(listener, target, Arc::clone(&intact)));
        Self { url, intact }
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Ends all connections, and new ones as soon as they are made.
    pub(crate) async fn cut(&self) {
        self.intact.send_replace(false);
    }

    pub(crate) fn restore(&self) {
        self.intact.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: String, intact: Arc<watch::Sender<bool>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut state = intact.subscribe();
        let target = target.clone();
        tokio::spawn(async move {
            if !*state.borrow() {
                return;
            }
            let mut server = TcpStream::connect(target).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = state.wait_for(|intact| !intact) => {}
            }
        });
    }
}
