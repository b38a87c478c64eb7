//! Host names and origins that a server without a key accepts. A server with a key accepts any.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use strom_server::http::{Access, ApiKey, Hosts, Settings};
use strom_store::FlowRepository;

use super::client::{Client, ID, document, problem};

fn loopback_client(repository: Arc<dyn FlowRepository>) -> Client {
    let settings = Settings {
        hosts: Hosts::Loopback(["studio-1", "[fd00::1]", "192.168.1.5"].map(str::to_owned).to_vec()),
        ..Settings::default()
    };
    Client::with_settings(repository, Access::Anonymous, settings)
}

pub(super) async fn a_loopback_server_accepts_only_loopback_names(repository: Arc<dyn FlowRepository>) {
    let client = loopback_client(repository.clone());
    let own = [
        "localhost",
        "LOCALHOST:8080",
        "localhost.:1",
        "strom.localhost:80",
        "127.0.0.1",
        "127.8.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "[::ffff:127.0.0.1]:8080",
        "studio-1:8080",
        "Studio-1",
        "[FD00::1]:80",
        "192.168.1.5:8080",
    ];
    for host in own {
        assert_eq!(client.send("GET /api/flows", &[("host", host)], "").await.status, 200, "{host}");
    }
    let foreign = [
        "example.org",
        "example.org:8080",
        "localhost.example.org",
        "notlocalhost",
        "127.0.0.1.example.org",
        "studio-12",
        "[fd00::2]",
        "0.0.0.0:8080",
        "192.0.2.1",
        "[::]",
        "[::ffff:192.0.2.1]",
        "127.1",
        "",
        ":8080",
        "[::1",
        "localhost/",
        "local host",
        "example.org@",
    ];
    let detail = "use `localhost` or `127.0.0.1` on the machine of the server; the operator can accept this name with \
                  --allowed-hosts, or any name with an API key";
    let refused = problem(421, "misdirected", "host name not accepted", detail);
    for host in foreign {
        for line in ["GET /api/flows", "DELETE /api/flows/nothing", "GET /api/nothing", "GET /ready", "GET /metrics"] {
            assert_eq!(client.send(line, &[("host", host)], "").await.shown(), refused, "{line} {host}");
        }
        assert_eq!(client.send("GET /health", &[("host", host)], "").await.shown().lines().last(), Some("OK"));
    }
    let several = [("host", "localhost"), ("host", "example.org")];
    for headers in [&[][..], &several] {
        assert_eq!(client.send("POST /api/flows", headers, &document("a")).await.shown(), refused, "{headers:?}");
    }
    for (address, status) in [("http://example.org/api/flows", 421), ("http://localhost:1/api/flows", 200)] {
        let request = Request::get(address).header("host", "localhost").body(Body::empty()).unwrap();
        assert_eq!(client.request(request).await.status, status, "{address}");
    }
    assert!(repository.get(ID.parse().unwrap()).await.unwrap().is_none(), "nothing was written");

    let with_key = Client::with(repository, Access::Key(ApiKey::new("secret")));
    let headers = [("host", "strom.example.org"), ("x-api-key", "secret")];
    assert_eq!(
        with_key.send("GET /api/flows", &headers, "").await.status,
        200,
        "with a key, any host name is accepted"
    );
}

pub(super) async fn cross_origin_changes_are_rejected(repository: Arc<dyn FlowRepository>) {
    let client = Client::new(repository.clone());
    let own: [&[(&str, &str)]; 6] = [
        &[],
        &[("origin", "http://localhost:8080")],
        &[("origin", "https://LOCALHOST:8080")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://strom.example.org")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin")],
    ];
    for headers in own {
        let headers = [headers, &[("host", "localhost:8080")]].concat();
        let path = format!("PUT /api/flows/{ID}");
        assert!(matches!(client.send("POST /api/flows", &headers, r#"{"name":"a"}"#).await.status, 201), "{headers:?}");
        assert_eq!(client.send(&path, &headers, &document("a")).await.status, 404, "{headers:?}");
    }
    client.send("POST /api/flows", &[], &document("one")).await;
    let foreign: [&[(&str, &str)]; 7] = [
        &[("origin", "http://example.org")],
        &[("origin", "http://localhost")],
        &[("origin", "null")],
        &[("origin", "localhost:8080")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "http://localhost:8080")],
        &[("sec-fetch-site", "")],
    ];
    let detail = "without an API key, the server rejects requests from pages of other origins; the operator can permit an \
                  origin with --cors-origins; behind a proxy, forward the original `Host` header";
    let refused = problem(403, "foreign-origin", "cross-origin request rejected", detail);
    for headers in foreign {
        let headers = [headers, &[("host", "localhost:8080")]].concat();
        let flow = format!("/api/flows/{ID}");
        for line in
            [format!("DELETE {flow}"), format!("PUT {flow}"), format!("POST {flow}/start"), format!("GET {flow}")]
        {
            assert_eq!(client.send(&line, &headers, &document("two")).await.shown(), refused, "{line} {headers:?}");
        }
        assert_eq!(client.send("GET /", &headers, "").await.status, 200, "a link to the console");
    }
    let with_key = Client::with(repository, Access::Key(ApiKey::new("secret")));
    let headers = [("origin", "http://example.org"), ("host", "localhost"), ("x-api-key", "secret")];
    assert_eq!(
        with_key.send(&format!("DELETE /api/flows/{ID}"), &headers, "").await.status,
        204,
        "with a key, any origin is accepted"
    );
}

pub(super) async fn permitted_origins_can_use_the_api(repository: Arc<dyn FlowRepository>) {
    let origins = ["https://studio.example.org".to_owned()].into_iter().collect();
    let client = Client::with_settings(repository, Access::Anonymous, Settings { origins, ..Settings::default() });
    let permitted = [("host", "localhost"), ("origin", "https://studio.example.org"), ("sec-fetch-site", "cross-site")];
    let created = client.send("POST /api/flows", &permitted, &document("one")).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.headers["access-control-allow-origin"], "https://studio.example.org");
    assert!(created.headers["access-control-expose-headers"].to_str().unwrap().contains("etag"));
    let preflight = [&permitted[..], &[("access-control-request-method", "PUT")]].concat();
    let answer = client.send(&format!("OPTIONS /api/flows/{ID}"), &preflight, "").await;
    assert_eq!((answer.status, &answer.headers["vary"]), (204, &axum::http::HeaderValue::from_static("origin")));
    assert!(answer.headers["access-control-allow-methods"].to_str().unwrap().contains("PUT"));
    assert!(answer.headers["access-control-allow-headers"].to_str().unwrap().contains("if-match"));
    let options = client.send("OPTIONS /api/flows", &permitted, "").await;
    assert_eq!(options.headers["allow"], "GET,HEAD,POST", "not a preflight request");

    for other in ["https://studio.example.org.evil.example", "http://studio.example.org", "null"] {
        let headers = [("host", "localhost"), ("origin", other), ("access-control-request-method", "PUT")];
        for line in ["GET /api/flows", "OPTIONS /api/flows"] {
            let answer = client.send(line, &headers, "").await;
            assert_eq!((answer.status, answer.headers.get("access-control-allow-origin")), (403, None), "{other}");
        }
    }
}

pub(super) async fn responses_have_policies(repository: Arc<dyn FlowRepository>) {
    let client = Client::new(repository);
    client.send("POST /api/flows", &[], &document("one")).await;
    for (path, policy) in [
        ("/api/flows", "private, no-cache"),
        (&*format!("/api/flows/{ID}"), "private, no-cache"),
        ("/api/flows/export", "private, no-store"),
        ("/api/sources", "private, no-cache"),
        ("/api/nothing", "no-store"),
        ("/api/version", "no-store"),
    ] {
        let headers = client.send(&format!("GET {path}"), &[], "").await.headers;
        assert_eq!(
            (&headers["cache-control"], &headers["x-content-type-options"]),
            (&policy.parse().unwrap(), &"nosniff".parse().unwrap()),
            "{path}"
        );
    }
}
