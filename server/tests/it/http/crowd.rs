//! Several editors change one flow concurrently and at random, some with outdated copies. Every revision must differ from the
//! previous one only in the change that was acknowledged for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use strom_store::FlowRepository;
use strom_store::internals::Chance;

use super::client::{Answer, Client, ID};

const EDITORS: u64 = 4;
const STEPS: u64 = 60;

/// A change that the server acknowledged.
#[derive(Debug, Clone, PartialEq)]
enum Acknowledged {
    /// The client wrote `mark` into `part`. `is_merge` is set if the client edited an older revision than the latest.
    Edit {
        part: u64,
        mark: String,
        base: u64,
        is_merge: bool,
    },
    Delete {
        base: u64,
    },
    /// A restore of revision `of`, onto the revision `base` or onto a deleted flow.
    Restore {
        of: u64,
        base: Option<u64>,
    },
}

/// Writes the mark into this part of the flow.
fn edit(flow: &mut Value, part: u64, mark: &str) {
    let list = |flow: &mut Value, list: &str, item: Value| flow[list].as_array_mut().unwrap().push(item);
    match part {
        0 => flow["name"] = mark.into(),
        1 => flow["properties"]["description"] = mark.into(),
        2 => flow["elements"][0]["position"] = json!([1, mark]),
        3 => flow["elements"][0]["properties"]["gain"] = mark.into(),
        4 => flow["blocks"][0]["position"] = json!({ "x": mark, "y": 0 }),
        5 => list(flow, "elements", json!({ "id": mark })),
        _ => list(flow, "links", json!({ "from": "mix:src", "to": format!("out:{mark}") })),
    }
}

/// A client with a copy of the flow, which may be outdated.
struct Editor<'c> {
    client: &'c Client,
    name: u64,
    chance: Chance,
    copy: Value,
    revision: u64,
    /// The acknowledged changes, by the revision that they created.
    acknowledged: BTreeMap<u64, Acknowledged>,
    refused: u32,
}

impl Editor<'_> {
    async fn send(&self, line: &str, kind: &str, condition: (&str, &str), body: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("content-type", format!("application/{kind}"));
        let request = request.header(condition.0, condition.1);
        self.client.request(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn step(&mut self, step: u64) {
        let path = format!("/api/flows/{ID}");
        let etag = format!("\"{}\"", self.revision);
        let condition_header = ("if-match", etag.as_str());
        // All editors start with an addition to the first revision, so that some additions must be merged.
        let is_first = step == 0;
        match if is_first { 2 } else { self.chance.below(20) } {
            0 => self.delete().await,
            1 => {
                let of = 1 + self.chance.below(self.revision);
                let body = json!({ "revision": of }).to_string();
                let answer = self.send(&format!("POST {path}/restore"), "json", condition_header, &body).await;
                let base = self.revision;
                // A restore of identical content creates no revision.
                let created =
                    |created| (created != base).then_some((created, Acknowledged::Restore { of, base: Some(base) }));
                self.handle(answer, created).await;
            }
            choice => {
                let part = if is_first { 5 } else { self.chance.below(7) };
                let mark = format!("{}-{step}", self.name);
                let mut flow = self.copy.clone();
                edit(&mut flow, part, &mark);
                let query = if !is_first && self.chance.below(4) == 0 { "" } else { "?merge=auto" };
                let (line, kind, body) = match (part, choice % 3) {
                    (1, 0) => ("PATCH /properties", "json", json!({ "properties": flow["properties"] })),
                    (0, 0) => ("PATCH ", "merge-patch+json", json!({ "name": mark })),
                    (2, 0) => {
                        let operations =
                            json!([{ "op": "replace", "path": "/elements/0/position", "value": [1, mark] }]);
                        ("PATCH ", "json-patch+json", operations)
                    }
                    (_, 1) => ("POST ", "json", flow),
                    _ => ("PUT ", "json", flow),
                };
                let (method, suffix) = line.split_once(' ').unwrap();
                let line = format!("{method} {path}{suffix}{query}");
                let answer = self.send(&line, kind, condition_header, &body.to_string()).await;
                let is_merge = answer.status == 200 && answer.json()["merge"].is_object();
                let base = self.revision;
                self.handle(answer, |created| Some((created, Acknowledged::Edit { part, mark, base, is_merge }))).await;
            }
        }
    }

    async fn delete(&mut self) {
        let (line, base) = (format!("DELETE /api/flows/{ID}"), self.revision);
        let answer = self.send(&line, "json", ("if-match", &format!("\"{base}\"")), "").await;
        self.handle(answer, |_| Some((base + 1, Acknowledged::Delete { base }))).await;
    }

    /// Records an acknowledged change. After a conflict, reads the flow again or continues with the outdated copy.
    async fn handle(&mut self, answer: Answer, acknowledged: impl FnOnce(u64) -> Option<(u64, Acknowledged)>) {
        match answer.status {
            200 | 201 => {
                let etag = answer.headers["etag"].to_str().unwrap().trim_matches('"').parse().unwrap();
                self.record(acknowledged(etag));
                (self.copy, self.revision) = (answer.json()["flow"].take(), etag);
            }
            204 => self.record(acknowledged(0)),
            404 => Box::pin(self.restore_deleted()).await,
            412 => {
                self.refused += 1;
                let current = answer.json()["current"].take();
                // Missing if the flow was deleted again before the read.
                if let (Some(revision), 0) = (current["revision"].as_u64(), self.chance.below(2)) {
                    (self.copy, self.revision) = (current["flow"].clone(), revision);
                }
            }
            // The save failed because other writers changed the flow during every attempt.
            503 => self.refused += 1,
            _ => panic!("{answer:?}"),
        }
    }

    fn record(&mut self, acknowledged: Option<(u64, Acknowledged)>) {
        if let Some((revision, acknowledged)) = acknowledged {
            assert_eq!(
                self.acknowledged.insert(revision, acknowledged),
                None,
                "two changes were acknowledged with one revision"
            );
        }
    }

    async fn restore_deleted(&mut self) {
        let history = self.client.send(&format!("GET /api/flows/{ID}/history?limit=1"), &[], "").await.json();
        let of = history["history"][0]["revision"].as_u64().unwrap();
        let body = json!({ "revision": of }).to_string();
        let line = format!("POST /api/flows/{ID}/restore");
        let answer = self.send(&line, "json", ("if-none-match", "*"), &body).await;
        self.handle(answer, |created| Some((created, Acknowledged::Restore { of, base: None }))).await;
    }
}

/// Returns the flow with sorted lists, because a merge may choose the position of added members.
fn sorted(flow: &Value) -> Value {
    let mut flow = flow.clone();
    for list in ["elements", "links"] {
        flow[list].as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    flow
}

pub(super) async fn concurrent_random_edits_lose_nothing(repository: Arc<dyn FlowRepository>) {
    let client = Client::new(repository);
    let flow = json!({ "id": ID, "name": "one", "properties": { "description": "d" },
        "elements": [{ "id": "mix", "properties": { "gain": 1 }, "position": [0, 0] }],
        "blocks": [{ "id": "out", "position": { "x": 0, "y": 0 } }], "links": [] });
    assert_eq!(client.send("POST /api/flows", &[], &flow.to_string()).await.status, 201);
    let editors = (0..EDITORS).map(|name| {
        let (client, copy, acknowledged) = (&client, flow.clone(), BTreeMap::new());
        let mut editor =
            Editor { client, name, chance: Chance::new(name), copy, revision: 1, acknowledged, refused: 0 };
        async move {
            for step in 0..STEPS {
                editor.step(step).await;
            }
            // A random deletion may always be based on an outdated copy, so one editor insists.
            while name == 0 && !editor.acknowledged.values().any(|it| matches!(it, Acknowledged::Delete { .. })) {
                editor.delete().await;
            }
            (editor.acknowledged, editor.refused)
        }
    });
    let (acknowledged, refused): (Vec<_>, Vec<_>) = futures::future::join_all(editors).await.into_iter().unzip();
    let count: usize = acknowledged.iter().map(BTreeMap::len).sum();
    let acknowledged: BTreeMap<u64, Acknowledged> = acknowledged.into_iter().flatten().collect();
    assert_eq!(acknowledged.len(), count, "two editors received one revision");

    let history = client.send(&format!("GET /api/flows/{ID}/history?limit=1000"), &[], "").await.json();
    let mut revisions = BTreeMap::new();
    for entry in history["history"].as_array().unwrap() {
        let revision = entry["revision"].as_u64().unwrap();
        revisions
            .insert(revision, client.send(&format!("GET /api/flows/{ID}/history/{revision}"), &[], "").await.json());
    }
    assert_eq!(Vec::from_iter(revisions.keys().copied().skip(1)), Vec::from_iter(acknowledged.keys().copied()));
    for (revision, acknowledged) in &acknowledged {
        let (before, after) = (&revisions[&(revision - 1)], &revisions[revision]);
        match acknowledged {
            Acknowledged::Edit { part, mark, base, is_merge } => {
                let mut expected = before["flow"].clone();
                edit(&mut expected, *part, mark);
                assert_eq!(sorted(&after["flow"]), sorted(&expected), "{revision}: {acknowledged:?}");
                assert!(*is_merge != (*base == revision - 1), "{revision}: {acknowledged:?}");
            }
            Acknowledged::Delete { base } => assert_eq!((&after["op"], *base), (&json!("delete"), revision - 1)),
            Acknowledged::Restore { of, base: Some(base) } => {
                assert_eq!((&after["flow"], *base), (&revisions[of]["flow"], revision - 1));
            }
            Acknowledged::Restore { of, base: None } => {
                assert_eq!((&after["flow"], &before["op"]), (&revisions[of]["flow"], &json!("delete")));
            }
        }
    }
    let merges = acknowledged
        .values()
        .filter(|acknowledged| matches!(acknowledged, Acknowledged::Edit { is_merge: true, .. }))
        .count();
    let deletions =
        acknowledged.values().filter(|acknowledged| matches!(acknowledged, Acknowledged::Delete { .. })).count();
    let refused: u32 = refused.into_iter().sum();
    println!("{merges} merges, {deletions} deletions, {refused} refused");
    assert!(merges > 0 && deletions > 0 && refused > 0, "{merges} merges, {deletions} deletions, {refused} refused");
}
