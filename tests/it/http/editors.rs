//! Two people have one flow open. Whatever both do to it, the second is told, and nothing that was acknowledged is lost
//! without a word.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use strom::FlowRepository;

use super::client::{Answer, Client};

type Repository = Arc<dyn FlowRepository>;

/// What a person can do to a flow in an editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Saves it under another name, by `PUT` or by `POST`.
    Rename(&'static str),
    MoveNode,
    AddLink,
    /// Takes a node with its link.
    TakeNode,
    /// Adds a member by `application/merge-patch+json`.
    Patch,
    /// Adds an element by `application/json-patch+json`.
    PatchByOperations,
    ReplaceProperties,
    /// Makes it again what it was at revision 1.
    Restore,
    Delete,
}

pub(super) const DEEDS: [Deed; 10] = [
    Deed::Rename("PUT"),
    Deed::Rename("POST"),
    Deed::MoveNode,
    Deed::AddLink,
    Deed::TakeNode,
    Deed::Patch,
    Deed::PatchByOperations,
    Deed::ReplaceProperties,
    Deed::Restore,
    Deed::Delete,
];

/// A flow that both have opened, at revision 2.
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) id: String,
    document: Value,
}

impl Opened {
    /// The flow of this number, new.
    pub(super) async fn new(repository: &Repository, number: usize) -> Self {
        let client = Client::new(repository.clone());
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

    /// What `who` does, on this copy of the flow, which has this revision.
    async fn act_on(&self, copy: &Value, deed: Deed, who: &str, revision: u64, query: &str) -> Answer {
        let mut flow = copy.clone();
        let path = format!("/api/flows/{}", self.id);
        let (method, path, kind, body) = match deed {
            Deed::Rename(method) => {
                flow["name"] = who.into();
                (method, path, "json", flow)
            }
            Deed::MoveNode => {
                node(&mut flow, "mix").expect("nobody takes it")["position"] = json!([7, who]);
                ("PUT", path, "json", flow)
            }
            Deed::AddLink => {
                push(&mut flow["links"], json!({ "from": "in:src", "to": format!("mix:{who}") }));
                ("PUT", path, "json", flow)
            }
            Deed::TakeNode => {
                flow["elements"].as_array_mut().unwrap().retain(|node| node["id"] != "spare");
                flow["links"].as_array_mut().unwrap().retain(|link| link["to"] != "spare");
                flow["taken by"] = who.into();
                ("PUT", path, "json", flow)
            }
            Deed::Patch => ("PATCH", path, "merge-patch+json", json!({ who: "patched" })),
            Deed::PatchByOperations => {
                let add = json!([{ "op": "add", "path": "/elements/0", "value": { "id": who } }]);
                ("PATCH", path, "json-patch+json", add)
            }
            Deed::ReplaceProperties => {
                ("PATCH", format!("{path}/properties"), "json", json!({ "properties": { "description": who } }))
            }
            Deed::Restore => ("POST", format!("{path}/restore"), "json", json!({ "revision": 1 })),
            Deed::Delete => ("DELETE", path, "json", Value::Null),
        };
        let request = Request::builder().method(method).uri(format!("{path}{query}"));
        let request = request.header("content-type", format!("application/{kind}"));
        let request = request.header("if-match", format!("\"{revision}\""));
        self.client.request(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// What `who` does who has opened the flow at revision 2.
    pub(super) async fn act(&self, deed: Deed, who: &str, query: &str) -> Answer {
        self.act_on(&self.document, deed, who, 2, query).await
    }

    pub(super) async fn get(&self, place: &str) -> Answer {
        self.client.send(&format!("GET /api/flows/{}{place}", self.id), &[], "").await
    }

    /// The flow as it is; null when it was deleted.
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

/// Whether the flow shows what `who` did.
pub(super) fn shows(flow: &Value, deed: Deed, who: &str) -> bool {
    let mut flow = flow.clone();
    match deed {
        Deed::Rename(_) => flow["name"] == who,
        Deed::MoveNode => node(&mut flow, "mix").is_some_and(|node| node["position"] == json!([7, who])),
        Deed::AddLink => {
            let to = format!("mix:{who}");
            flow["links"].as_array().is_some_and(|links| links.iter().any(|link| link["to"] == to))
        }
        Deed::TakeNode => flow["taken by"] == who && node(&mut flow, "spare").is_none(),
        Deed::Patch => flow[who] == "patched",
        Deed::PatchByOperations => node(&mut flow, who).is_some(),
        Deed::ReplaceProperties => flow["properties"]["description"] == who,
        Deed::Restore => flow["name"] == "one",
        Deed::Delete => flow.is_null(),
    }
}

fn changes(difference: &Value) -> usize {
    difference["changes"].as_array().map_or(0, Vec::len)
}

pub(super) async fn the_second_of_two_editors_is_told(repository: Repository) {
    for (number, (first, second)) in pairs().enumerate() {
        let opened = Opened::new(&repository, number).await;
        let made = opened.act(first, "first", "").await;
        assert_eq!(made.status, if first == Deed::Delete { 204 } else { 200 }, "{first:?}: {made:?}");
        let flow = opened.flow().await;
        assert!(shows(&flow, first, "first"), "{first:?}: {flow}");

        let told = opened.act(second, "second", "").await;
        let case = format!("{first:?}, {second:?}: {}", told.body);
        assert_eq!(opened.flow().await, flow, "nothing was written: {case}");
        let (copy, revision) = if first == Deed::Delete {
            assert_eq!((told.status, &told.json()["deleted"]["revision"]), (404, &json!(3)), "{case}");
            let line = format!("POST /api/flows/{}/restore", opened.id);
            let absent = [("if-none-match", "*")];
            let restored = opened.client.send(&line, &absent, r#"{"revision":2}"#).await;
            assert_eq!(restored.status, 201, "{restored:?}");
            // Of two who bring it back, the second is told as well.
            let again = opened.client.send(&line, &absent, r#"{"revision":1}"#).await;
            assert_eq!((again.status, &again.json()["current"]["revision"]), (412, &json!(4)), "{again:?}");
            assert_eq!(changes(&again.json()["difference"]["between"]), 1, "{again:?}");
            (restored.json()["flow"].clone(), 4)
        } else {
            let body = told.json();
            assert_eq!((told.status, &body["current"]["revision"]), (412, &json!(3)), "{case}");
            assert_eq!(body["current"]["flow"], flow, "{case}");
            assert_eq!((&body["current"]["author"], &body["difference"]["base"]), (&json!("anonymous"), &json!(2)));
            assert!(changes(&body["difference"]["theirs"]) > 0, "{case}");
            assert_eq!(changes(&body["difference"]["yours"]) > 0, second != Deed::Delete, "{case}");
            (flow, 3)
        };

        // Now that it knows, it may do so; and what the first did is kept.
        let again = opened.act_on(&copy, second, "second", revision, "").await;
        assert!([200, 204].contains(&again.status), "{again:?}");
        assert!(shows(&opened.flow().await, second, "second"), "{case}");
        let kept = opened.get("/history/3").await.json();
        match first {
            Deed::Delete => assert_eq!(kept["op"], "delete"),
            _ => assert!(shows(&kept["flow"], first, "first"), "{kept}"),
        }
    }
}

pub(super) fn pairs() -> impl Iterator<Item = (Deed, Deed)> {
    DEEDS.into_iter().flat_map(|first| DEEDS.into_iter().map(move |second| (first, second)))
}
