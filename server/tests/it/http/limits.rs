//! Rate limits.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use strom_server::http::{Access, ApiKey, Keys, Settings};
use strom_store::FlowRepository;

use super::client::{Answer, Client, problem};

fn limited(repository: Arc<dyn FlowRepository>, access: Access, rate: u32) -> Client {
    Client::with_settings(repository, access, Settings { rate_limit: NonZeroU32::new(rate), ..Settings::default() })
}

/// Sends a request with this peer address.
async fn from(client: &Client, peer: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    client.request(request).await
}

/// Sends this number of requests. Returns the number of served ones, and the last response with another status than 200.
async fn served(client: &Client, peer: &str, headers: &[(&str, &str)], requests: usize) -> (usize, Option<Answer>) {
    let mut served = 0;
    let mut refused = None;
    for _ in 0..requests {
        match from(client, peer, "/api/elements", headers).await {
            answer if answer.status == 200 => served += 1,
            answer => refused = Some(answer),
        }
    }
    (served, refused)
}

/// Reports whether the server rejects requests of this client. On a slow machine permits accumulate between requests, so a few
/// may pass, but not all 200.
async fn is_refused(client: &Client, peer: &str, path: &str, headers: &[(&str, &str)]) -> bool {
    for _ in 0..200 {
        if from(client, peer, path, headers).await.status == 429 {
            return true;
        }
    }
    false
}

/// Reports whether the server served the burst, and at most the additional permits that accumulated since `begin`.
fn is_limited(served: usize, burst: usize, rate: f64, begin: Instant) -> bool {
    let most = burst as f64 + rate * begin.elapsed().as_secs_f64() + 1.0;
    served >= burst && served as f64 <= most
}

pub(super) async fn rate_limit_applies_per_address(repository: Arc<dyn FlowRepository>) {
    let client = limited(repository.clone(), Access::Anonymous, 2);
    let begin = Instant::now();
    let (count, last) = served(&client, "192.0.2.1:1000", &[], 200).await;
    assert!(is_limited(count, 2, 2.0, begin), "{count}");
    let detail = "the limit is 2 requests per second per client";
    let refused = problem(429, "too-many-requests", "too many requests", detail);
    assert_eq!(last.unwrap().shown(), refused.replace("+json\n", "+json\nretry-after: 1\n"));
    for same in ["192.0.2.1:1001", "[::ffff:192.0.2.1]:7"] {
        assert!(is_refused(&client, same, "/api/flows", &[]).await, "{same}");
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(from(&client, "192.0.2.1:1002", path, &[]).await.status, 200, "{path}");
    }
    assert!(is_refused(&client, "192.0.2.1:1002", "/api/version", &[]).await);
    assert_eq!(
        from(&client, "192.0.2.2:1000", "/api/flows", &[]).await.status,
        200,
        "another address has its own limit"
    );

    served(&client, "[2001:db8:1:2::1]:1", &[], 200).await;
    assert!(
        is_refused(&client, "[2001:db8:1:2:ffff::9]:1", "/api/flows", &[]).await,
        "addresses of one /64 network share a limit"
    );
    assert_eq!(from(&client, "[2001:db8:1:3::1]:1", "/api/flows", &[]).await.status, 200);

    let metrics = from(&client, "192.0.2.1:1", "/metrics", &[]).await.body;
    let counted = r#"strom_http_requests_total{method="GET",route="/api/elements",status="429"}"#;
    assert!(metrics.contains(counted), "{metrics}");

    let client = limited(repository, Access::Anonymous, 0);
    assert_eq!(served(&client, "192.0.2.1:1000", &[], 300).await.0, 300, "a rate of 0 means no limit");
}

pub(super) async fn requests_over_a_socket_have_exactly_one_host(repository: Arc<dyn FlowRepository>) {
    let client = Client::new(repository);
    let refused = problem(400, "invalid-header", "invalid header", "send exactly one valid `Host` header");
    for headers in [&[("host", "localhost")][..], &[("host", "a b")]] {
        for path in ["/health", "/api/flows"] {
            // `from` sends one valid header.
            let answer = from(&client, "192.0.2.1:1", path, headers).await;
            assert_eq!(answer.shown(), refused, "{path} {headers:?}");
        }
    }
    let mut request = Request::get("/health").body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo::<SocketAddr>("192.0.2.1:1".parse().unwrap()));
    assert_eq!(client.request(request).await.shown(), refused);
}

pub(super) async fn rate_limit_applies_per_key(repository: Arc<dyn FlowRepository>) {
    let keys: Keys = [ApiKey::named("a", "of a"), ApiKey::named("b", "of b")].into_iter().collect();
    let client = limited(repository, Access::Keys(keys), 2);
    let (a, b) = ([("x-api-key", "of a")], [("x-api-key", "of b")]);
    let begin = Instant::now();
    let (count, last) = served(&client, "192.0.2.1:1", &a, 200).await;
    assert!(is_limited(count, 2, 2.0, begin) && last.unwrap().status == 429, "{count}");
    assert!(is_refused(&client, "192.0.2.9:1", "/api/flows", &a).await, "the limit of a key applies to every address");
    assert_eq!(from(&client, "192.0.2.1:1", "/api/flows", &b).await.status, 200, "another key has its own limit");
    for _ in 0..200 {
        let unauthenticated = from(&client, "192.0.2.1:1", "/api/flows", &[]).await;
        assert!(matches!(unauthenticated.status, 401 | 429));
    }
    assert!(
        is_refused(&client, "192.0.2.1:1", "/api/flows", &[]).await,
        "requests without a key are limited by address"
    );
}

pub(super) async fn wrong_keys_do_not_lock_out_valid_keys(repository: Arc<dyn FlowRepository>) {
    let client = Client::with(repository, Access::Key(ApiKey::new("secret")));
    let (wrong, right) = ([("x-api-key", "wrong")], [("x-api-key", "secret")]);
    let (begin, mut refused) = (Instant::now(), 0);
    for _ in 0..300 {
        let answer = from(&client, "192.0.2.1:1", "/api/flows", &wrong).await;
        match answer.status {
            401 => assert_eq!(answer.shown(), "401\nwww-authenticate: Bearer"),
            status => {
                assert_eq!(status, 429);
                assert_eq!(answer.json()["detail"], "the limit is 1 wrong keys per second per client");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && is_limited(300 - refused, 100, 1.0, begin), "{refused}");
    for path in ["/ready", "/api/version", "/api/auth/status", "/api/changes?auth_token=wrong", "/api/nothing"] {
        assert!(is_refused(&client, "192.0.2.1:1", path, &wrong).await, "{path}");
    }
    assert_eq!(from(&client, "192.0.2.1:1", "/api/flows", &right).await.status, 200);
    assert_eq!(from(&client, "192.0.2.1:1", "/api/flows", &[]).await.status, 401, "a missing key is not a wrong key");
    assert_eq!(from(&client, "192.0.2.2:1", "/api/flows", &wrong).await.status, 401);
}

pub(super) async fn trusted_proxies_name_the_client(repository: Arc<dyn FlowRepository>) {
    let proxies = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
    let settings = Settings { rate_limit: NonZeroU32::new(2), proxies, ..Settings::default() };
    let client = Client::with_settings(repository, Access::Anonymous, settings);
    let (a, b) = ([("x-forwarded-for", "203.0.113.1")], [("x-forwarded-for", "198.51.100.9, 203.0.113.2, 192.0.2.8")]);
    assert!(is_refused(&client, "192.0.2.1:1", "/api/flows", &a).await);
    assert!(is_refused(&client, "192.0.2.7:1", "/api/flows", &a).await, "the limit follows the client");
    assert_eq!(from(&client, "192.0.2.1:1", "/api/flows", &b).await.status, 200, "another client");
    assert!(is_refused(&client, "203.0.113.1:9", "/api/flows", &[]).await, "without the proxy");
    assert!(is_refused(&client, "203.0.113.1:9", "/api/flows", &b).await, "the header of another peer is ignored");
}
