//! Two editors change one flow at the same time. For every pair of changes, the second editor receives the difference, and no
//! acknowledged change is lost.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use strom_store::FlowRepository;

use super::client::{Answer, Client};

type Repository = Arc<dyn FlowRepository>;

/// A change that an editor makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Renames the flow by `PUT` or `POST`.
    Rename(&'static str),
    MoveNode,
    AddLink,
    /// Removes a node and its link.
    RemoveNode,
    /// Adds a member by `application/merge-patch+json`.
    Patch,
    /// Adds an element by `application/json-patch+json`.
    PatchByOperations,
    ReplaceProperties,
    /// Restores revision 1.
    Restore,
    Delete,
}

pub(super) const ACTIONS: [Action; 10] = [
    Action::Rename("PUT"),
    Action::Rename("POST"),
    Action::MoveNode,
    Action::AddLink,
    Action::RemoveNode,
    Action::Patch,
    Action::PatchByOperations,
    Action::ReplaceProperties,
    Action::Restore,
    Action::Delete,
];

/// A flow at revision 2 that both editors have opened.
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) id: String,
    document: Value,
}

impl Opened {
    /// Creates the flow with this number.
    pub(super) async fn new(client: &Client, number: usize) -> Self {
        let client = client.clone();
        let id = format!("57130000-0000-4000-8000-{number:012}");
        let mut document = json!({ "id": id, "name": "one", "n": 1, "properties": { "description": "d" },
            "elements": [{ "id": "in", "position": [0, 0] }, { "id": "mix", "position": [1, 0] }, { "id": "spare" }],
            "links": [{ "from": "in:src", "to": "mix:sink" }, { "from": "mix:src", "to": "spare" }] });
        assert_eq!(client.send("POST /api/flows", &[], &document.to_string()).await.status, 201);
        document["name"] = "two".into();
        let line = format!("PUT /api/flows/{id}");
        assert_eq!(client.send(&line, &[("if-match", "\"1\"")], &document.to_string()).await.status, 200);
        Self { client, id, document }
    }

    /// Sends a change by the editor `author`, based on this copy of the flow at this revision.
    async fn act_on(&self, copy: &Value, action: Action, author: &str, revision: u64, query: &str) -> Answer {
        let mut flow = copy.clone();
        let path = format!("/api/flows/{}", self.id);
        let (method, path, kind, body) = match action {
            Action::Rename(method) => {
                flow["name"] = author.into();
                (method, path, "json", flow)
            }
            Action::MoveNode => {
                node(&mut flow, "mix").expect("no action removes it")["position"] = json!([7, author]);
                ("PUT", path, "json", flow)
            }
            Action::AddLink => {
                push(&mut flow["links"], json!({ "from": "in:src", "to": format!("mix:{author}") }));
                ("PUT", path, "json", flow)
            }
            Action::RemoveNode => {
                flow["elements"].as_array_mut().unwrap().retain(|node| node["id"] != "spare");
                flow["links"].as_array_mut().unwrap().retain(|link| link["to"] != "spare");
                flow["removed by"] = author.into();
                ("PUT", path, "json", flow)
            }
            Action::Patch => ("PATCH", path, "merge-patch+json", json!({ author: "patched" })),
            Action::PatchByOperations => {
                let add = json!([{ "op": "add", "path": "/elements/0", "value": { "id": author } }]);
                ("PATCH", path, "json-patch+json", add)
            }
            Action::ReplaceProperties => {
                ("PATCH", format!("{path}/properties"), "json", json!({ "properties": { "description": author } }))
            }
            Action::Restore => ("POST", format!("{path}/restore"), "json", json!({ "revision": 1 })),
            Action::Delete => ("DELETE", path, "json", Value::Null),
        };
        let request = Request::builder().method(method).uri(format!("{path}{query}"));
        let request = request.header("content-type", format!("application/{kind}"));
        let request = request.header("if-match", format!("\"{revision}\""));
        self.client.request(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Sends a change by the editor `author`, based on revision 2.
    pub(super) async fn act(&self, action: Action, author: &str, query: &str) -> Answer {
        self.act_on(&self.document, action, author, 2, query).await
    }

    pub(super) async fn get(&self, suffix: &str) -> Answer {
        self.client.send(&format!("GET /api/flows/{}{suffix}", self.id), &[], "").await
    }

    /// Returns the current flow, or null if it is deleted.
    pub(super) async fn flow(&self) -> Value {
        self.get("").await.json()["flow"].take()
    }
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

fn node<'v>(flow: &'v mut Value, id: &str) -> Option<&'v mut Value> {
    flow["elements"].as_array_mut()?.iter_mut().find(|node| node["id"] == id)
}

/// Reports whether the flow contains this change by the editor `author`.
pub(super) fn shows(flow: &Value, action: Action, author: &str) -> bool {
    let mut flow = flow.clone();
    match action {
        Action::Rename(_) => flow["name"] == author,
        Action::MoveNode => node(&mut flow, "mix").is_some_and(|node| node["position"] == json!([7, author])),
        Action::AddLink => {
            let to = format!("mix:{author}");
            flow["links"].as_array().is_some_and(|links| links.iter().any(|link| link["to"] == to))
        }
        Action::RemoveNode => flow["removed by"] == author && node(&mut flow, "spare").is_none(),
        Action::Patch => flow[author] == "patched",
        Action::PatchByOperations => node(&mut flow, author).is_some(),
        Action::ReplaceProperties => flow["properties"]["description"] == author,
        Action::Restore => flow["name"] == "one",
        Action::Delete => flow.is_null(),
    }
}

fn changes(difference: &Value) -> usize {
    difference["changes"].as_array().map_or(0, Vec::len)
}

pub(super) async fn an_outdated_edit_returns_412_with_difference(repository: Repository) {
    let client = Client::new(repository);
    for (number, (first, second)) in pairs().enumerate() {
        let opened = Opened::new(&client, number).await;
        let saved = opened.act(first, "first", "").await;
        assert_eq!(saved.status, if first == Action::Delete { 204 } else { 200 }, "{first:?}: {saved:?}");
        let flow = opened.flow().await;
        assert!(shows(&flow, first, "first"), "{first:?}: {flow}");

        let outdated = opened.act(second, "second", "").await;
        let case = format!("{first:?}, {second:?}: {}", outdated.body);
        assert_eq!(opened.flow().await, flow, "nothing was written: {case}");
        let (copy, revision) = if first == Action::Delete {
            assert_eq!((outdated.status, &outdated.json()["deleted"]["revision"]), (404, &json!(3)), "{case}");
            let line = format!("POST /api/flows/{}/restore", opened.id);
            let absent = [("if-none-match", "*")];
            let restored = opened.client.send(&line, &absent, r#"{"revision":2}"#).await;
            assert_eq!(restored.status, 201, "{restored:?}");
            // A second restore also fails.
            let again = opened.client.send(&line, &absent, r#"{"revision":1}"#).await;
            assert_eq!((again.status, &again.json()["current"]["revision"]), (412, &json!(4)), "{again:?}");
            assert_eq!(changes(&again.json()["difference"]["between"]), 1, "{again:?}");
            (restored.json()["flow"].clone(), 4)
        } else {
            let body = outdated.json();
            assert_eq!((outdated.status, &body["current"]["revision"]), (412, &json!(3)), "{case}");
            assert_eq!(body["current"]["flow"], flow, "{case}");
            assert_eq!((&body["current"]["author"], &body["difference"]["base"]), (&json!("anonymous"), &json!(2)));
            assert!(changes(&body["difference"]["theirs"]) > 0, "{case}");
            assert_eq!(changes(&body["difference"]["yours"]) > 0, second != Action::Delete, "{case}");
            (flow, 3)
        };

        // With the current revision the second change succeeds. The first change remains in the history.
        let again = opened.act_on(&copy, second, "second", revision, "").await;
        assert!([200, 204].contains(&again.status), "{again:?}");
        assert!(shows(&opened.flow().await, second, "second"), "{case}");
        let recorded = opened.get("/history/3").await.json();
        match first {
            Action::Delete => assert_eq!(recorded["op"], "delete"),
            _ => assert!(shows(&recorded["flow"], first, "first"), "{recorded}"),
        }
    }
}

pub(super) fn pairs() -> impl Iterator<Item = (Action, Action)> {
    ACTIONS.into_iter().flat_map(|first| ACTIONS.into_iter().map(move |second| (first, second)))
}
