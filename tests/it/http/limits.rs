//! How many requests a client may send.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use strom::FlowRepository;
use strom::http::{Access, ApiKey, Keys, Settings};

use super::client::{Answer, Client, problem};

fn limited(repository: Arc<dyn FlowRepository>, access: Access, rate: u32) -> Client {
    Client::with_settings(repository, access, Settings { rate_limit: NonZeroU32::new(rate), ..Settings::default() })
}

/// What a client at this address is answered.
async fn from(client: &Client, peer: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    client.request(request).await
}

/// How many of so many requests are served, and the last other answer.
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

/// Whether requests of this client are refused. On a slow machine the next one may be due: but not two of them.
async fn is_refused(client: &Client, peer: &str, path: &str, headers: &[(&str, &str)]) -> bool {
    let first = from(client, peer, path, headers).await;
    first.status == 429 || from(client, peer, path, headers).await.status == 429
}

/// A slow machine takes some seconds for its requests, and each of them is worth as many more.
fn is_about(served: usize, rate: usize) -> bool {
    (rate..rate * 20).contains(&served)
}

pub(super) async fn an_address_has_a_limit_of_its_own(repository: Arc<dyn FlowRepository>) {
    let client = limited(repository.clone(), Access::Anonymous, 2);
    let (count, last) = served(&client, "192.0.2.1:1000", &[], 200).await;
    assert!(is_about(count, 2), "{count}");
    let detail = "requests are taken at 2 a second here; go slower";
    let refused = problem(429, "too-many-requests", "too many requests", detail);
    assert_eq!(last.unwrap().shown(), refused.replace("+json\n", "+json\nretry-after: 1\n"));
    for same in ["192.0.2.1:1001", "[::ffff:192.0.2.1]:7"] {
        assert!(is_refused(&client, same, "/api/flows", &[]).await, "{same}");
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(from(&client, "192.0.2.1:1002", path, &[]).await.status, 200, "{path}");
    }
    assert!(is_refused(&client, "192.0.2.1:1002", "/api/version", &[]).await);
    assert_eq!(from(&client, "192.0.2.2:1000", "/api/flows", &[]).await.status, 200, "somebody else");

    served(&client, "[2001:db8:1:2::1]:1", &[], 200).await;
    assert!(is_refused(&client, "[2001:db8:1:2:ffff::9]:1", "/api/flows", &[]).await, "of the same network");
    assert_eq!(from(&client, "[2001:db8:1:3::1]:1", "/api/flows", &[]).await.status, 200);

    let metrics = from(&client, "192.0.2.1:1", "/metrics", &[]).await.body;
    let counted = r#"strom_http_requests_total{method="GET",route="/api/elements",status="429"}"#;
    assert!(metrics.contains(counted), "{metrics}");

    let client = limited(repository, Access::Anonymous, 0);
    assert_eq!(served(&client, "192.0.2.1:1000", &[], 300).await.0, 300, "no limit");
}

pub(super) async fn a_key_has_a_limit_of_its_own(repository: Arc<dyn FlowRepository>) {
    let keys: Keys = [ApiKey::named("a", "of a"), ApiKey::named("b", "of b")].into_iter().collect();
    let client = limited(repository, Access::Keys(keys), 2);
    let (a, b) = ([("x-api-key", "of a")], [("x-api-key", "of b")]);
    let (count, last) = served(&client, "192.0.2.1:1", &a, 200).await;
    assert!(is_about(count, 2) && last.unwrap().status == 429, "{count}");
    assert!(is_refused(&client, "192.0.2.9:1", "/api/flows", &a).await, "wherever it comes from");
    assert_eq!(from(&client, "192.0.2.1:1", "/api/flows", &b).await.status, 200, "through the same proxy");
    for _ in 0..200 {
        let strange = from(&client, "192.0.2.1:1", "/api/flows", &[]).await;
        assert!(matches!(strange.status, 401 | 429));
    }
    assert!(is_refused(&client, "192.0.2.1:1", "/api/flows", &[]).await, "without a key, too");
}

pub(super) async fn who_guesses_shuts_nobody_out(repository: Arc<dyn FlowRepository>) {
    let client = Client::with(repository, Access::Key(ApiKey::new("secret")));
    let (wrong, right) = ([("x-api-key", "wrong")], [("x-api-key", "secret")]);
    let mut refused = 0;
    for _ in 0..300 {
        let answer = from(&client, "192.0.2.1:1", "/api/flows", &wrong).await;
        match answer.status {
            401 => assert_eq!(answer.shown(), "401\nwww-authenticate: Bearer"),
            status => {
                assert_eq!(status, 429);
                assert_eq!(answer.json()["detail"], "wrong keys are taken at 1 a second here; go slower");
                refused += 1;
            }
        }
    }
    assert!((100..=200).contains(&refused), "{refused}");
    for path in ["/api/auth/status", "/api/changes?auth_token=wrong", "/api/nothing"] {
        assert!(is_refused(&client, "192.0.2.1:1", path, &wrong).await, "{path}");
    }
    assert_eq!(from(&client, "192.0.2.1:1", "/api/flows", &right).await.status, 200);
    assert_eq!(from(&client, "192.0.2.1:1", "/api/flows", &[]).await.status, 401, "nobody guesses without a key");
    assert_eq!(from(&client, "192.0.2.2:1", "/api/flows", &wrong).await.status, 401);
}
