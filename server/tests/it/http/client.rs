//! Sends requests to the routes and formats responses as text.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use serde_json::{Value, json};
use strom_server::http::{Access, Settings, router, router_with};
use strom_server::stack::Stack;
use strom_store::FlowRepository;
use tower::ServiceExt;

pub(crate) const ID: &str = "57130000-0000-4000-8000-000000000001";
pub(crate) const OTHER_ID: &str = "57130000-0000-4000-8000-000000000002";

/// Calls the routes without a network connection.
#[derive(Clone)]
pub(crate) struct Client(Router);

/// A response that was read completely.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(repository: Arc<dyn FlowRepository>) -> Self {
        Self::with(repository, Access::Anonymous)
    }

    pub(crate) fn with(source: impl Into<Stack>, access: Access) -> Self {
        Self(router(source, access))
    }

    pub(crate) fn with_settings(source: impl Into<Stack>, access: Access, settings: Settings) -> Self {
        Self(router_with(source, access, settings))
    }

    /// Sends a request. `line` is a method and a path. A body that is not empty is JSON.
    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub(crate) async fn request(&self, request: Request<Body>) -> Answer {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Returns the status and the body of a path. The body need not be text.
    pub(crate) async fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }

    /// Sends a request without headers and body, and formats the response.
    pub(crate) async fn shown(&self, line: &str) -> String {
        self.send(line, &[], "").await.shown()
    }

    pub(crate) async fn shown_with(&self, line: &str, body: &str) -> String {
        self.send(line, &[], body).await.shown()
    }
}

impl Answer {
    /// Formats the status, the relevant headers and the body. Sorts JSON members, because PostgreSQL changes their order.
    pub(crate) fn shown(&self) -> String {
        let mut text = self.status.to_string();
        for name in ["content-type", "etag", "location", "allow", "retry-after", "www-authenticate"] {
            let values = self.headers.get_all(name).into_iter();
            // The tag of a list is a hash of the list, which the comparison of the body covers.
            for value in values.filter(|value| !value.as_bytes().starts_with(b"\"list-")) {
                text.push_str(&format!("\n{name}: {}", value.to_str().unwrap()));
            }
        }
        match serde_json::from_str::<Value>(&self.body) {
            Ok(json) => format!("{text}\n{json}"),
            Err(_) if self.body.is_empty() => text,
            Err(_) => format!("{text}\n{}", self.body),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Returns a document with the id [`ID`] and this name.
pub(crate) fn document(name: &str) -> String {
    format!(r#"{{"id":"{ID}","name":"{name}"}}"#)
}

/// Creates the flow [`ID`] as `one` and renames it to `two`, which is revision 2.
pub(crate) async fn edited(repository: Arc<dyn FlowRepository>) -> Client {
    let client = Client::new(repository);
    client.send("POST /api/flows", &[], &document("one")).await;
    client.send(&format!("PUT /api/flows/{ID}"), &[], &document("two")).await;
    client
}

/// Returns the formatted response with a flow.
pub(crate) fn flow(status: u16, revision: u64, flow: &str) -> String {
    let body = json!({ "flow": serde_json::from_str::<Value>(flow).unwrap() });
    format!("{status}\ncontent-type: application/json\netag: \"{revision}\"\n{body}")
}

/// Returns the formatted response to a create.
pub(crate) fn created(id: &str, revision: u64, document: &str) -> String {
    let etag = format!("etag: \"{revision}\"");
    flow(201, revision, document).replace(&etag, &format!("{etag}\nlocation: /api/flows/{id}"))
}

/// Returns the formatted response with a problem.
pub(crate) fn problem(status: u16, kind: &str, title: &str, detail: &str) -> String {
    problem_with(status, kind, title, detail, json!({}))
}

/// Returns the formatted response with a problem that has further members.
pub(crate) fn problem_with(status: u16, kind: &str, title: &str, detail: &str, further: Value) -> String {
    let mut body = json!({
        "error": title, "details": detail,
        "type": format!("urn:strom:problem:{kind}"), "title": title, "status": status, "detail": detail,
    });
    body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    format!("{status}\ncontent-type: application/problem+json\n{body}")
}

pub(crate) fn no_such_flow(id: &str) -> String {
    problem(404, "no-such-flow", "no such flow", &format!("there is no flow {id}"))
}
