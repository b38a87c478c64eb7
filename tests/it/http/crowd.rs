//! Several people edit one flow at once and at random, with copies that grow old. Afterwards every revision is compared with
//! the one before it: nothing differs but what its author did, whatever he had seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use strom::FlowRepository;
use strom::testkit::chance::Chance;

use super::client::{Answer, Client, ID};

const PEOPLE: u64 = 4;
const STEPS: u64 = 60;

/// What was acknowledged, under the revision that it made.
#[derive(Debug, Clone, PartialEq)]
enum Done {
    /// This part was given this mark; by a merge, where the revision was not the one before.
    Edit {
        part: u64,
        mark: String,
        base: u64,
        is_merge: bool,
    },
    Delete {
        base: u64,
    },
    /// Of a flow at the revision `base`, or a deleted one.
    Restore {
        of: u64,
        base: Option<u64>,
    },
}

/// Writes the mark into a part of the flow.
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

struct Person<'c> {
    client: &'c Client,
    name: u64,
    chance: Chance,
    copy: Value,
    revision: u64,
    /// What was acknowledged, by the revision that it made.
    done: BTreeMap<u64, Done>,
    refused: u32,
}

impl Person<'_> {
    async fn send(&self, line: &str, kind: &str, condition: (&str, &str), body: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("content-type", format!("application/{kind}"));
        let request = request.header(condition.0, condition.1);
        self.client.request(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn step(&mut self, step: u64) {
        let path = format!("/api/flows/{ID}");
        let etag = format!("\"{}\"", self.revision);
        let holds = ("if-match", etag.as_str());
        match self.chance.below(20) {
            0 => {
                let answer = self.send(&format!("DELETE {path}"), "json", holds, "").await;
                let base = self.revision;
                self.took(answer, |_| Some((base + 1, Done::Delete { base }))).await;
            }
            1 => {
                let of = 1 + self.chance.below(self.revision);
                let body = json!({ "revision": of }).to_string();
                let answer = self.send(&format!("POST {path}/restore"), "json", holds, &body).await;
                let base = self.revision;
                // To become what it is makes no revision.
                let made = |made| (made != base).then_some((made, Done::Restore { of, base: Some(base) }));
                self.took(answer, made).await;
            }
            way => {
                let (part, mark) = (self.chance.below(7), format!("{}-{step}", self.name));
                let mut flow = self.copy.clone();
                edit(&mut flow, part, &mark);
                let query = if self.chance.below(4) == 0 { "" } else { "?merge=auto" };
                let (line, kind, body) = match (part, way % 3) {
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
                let (method, place) = line.split_once(' ').unwrap();
                let line = format!("{method} {path}{place}{query}");
                let answer = self.send(&line, kind, holds, &body.to_string()).await;
                let is_merge = answer.status == 200 && answer.json()["merge"].is_object();
                let base = self.revision;
                self.took(answer, |made| Some((made, Done::Edit { part, mark, base, is_merge }))).await;
            }
        }
    }

    /// Notes what was acknowledged; else looks at the flow again, or goes on with the old copy.
    async fn took(&mut self, answer: Answer, done: impl FnOnce(u64) -> Option<(u64, Done)>) {
        match answer.status {
            200 | 201 => {
                let etag = answer.headers["etag"].to_str().unwrap().trim_matches('"').parse().unwrap();
                self.note(done(etag));
                (self.copy, self.revision) = (answer.json()["flow"].take(), etag);
            }
            204 => self.note(done(0)),
            404 => Box::pin(self.bring_back()).await,
            412 => {
                self.refused += 1;
                let current = answer.json()["current"].take();
                // None where it was deleted once more before it could be shown.
                if let (Some(revision), 0) = (current["revision"].as_u64(), self.chance.below(2)) {
                    (self.copy, self.revision) = (current["flow"].clone(), revision);
                }
            }
            // Others were always faster.
            503 => self.refused += 1,
            _ => panic!("{answer:?}"),
        }
    }

    fn note(&mut self, done: Option<(u64, Done)>) {
        if let Some((revision, done)) = done {
            assert_eq!(self.done.insert(revision, done), None, "one revision, made twice");
        }
    }

    async fn bring_back(&mut self) {
        let history = self.client.send(&format!("GET /api/flows/{ID}/history?limit=1"), &[], "").await.json();
        let of = history["history"][0]["revision"].as_u64().unwrap();
        let body = json!({ "revision": of }).to_string();
        let line = format!("POST /api/flows/{ID}/restore");
        let answer = self.send(&line, "json", ("if-none-match", "*"), &body).await;
        self.took(answer, |made| Some((made, Done::Restore { of, base: None }))).await;
    }
}

/// The flow without the order of what is added, which a merge may choose.
fn sorted(flow: &Value) -> Value {
    let mut flow = flow.clone();
    for list in ["elements", "links"] {
        flow[list].as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    flow
}

pub(super) async fn nothing_that_a_crowd_does_is_lost(repository: Arc<dyn FlowRepository>) {
    let client = Client::new(repository);
    let flow = json!({ "id": ID, "name": "one", "properties": { "description": "d" },
        "elements": [{ "id": "mix", "properties": { "gain": 1 }, "position": [0, 0] }],
        "blocks": [{ "id": "out", "position": { "x": 0, "y": 0 } }], "links": [] });
    assert_eq!(client.send("POST /api/flows", &[], &flow.to_string()).await.status, 201);
    let people = (0..PEOPLE).map(|name| {
        let (client, copy, done) = (&client, flow.clone(), BTreeMap::new());
        let mut person = Person { client, name, chance: Chance::new(name), copy, revision: 1, done, refused: 0 };
        async move {
            for step in 0..STEPS {
                person.step(step).await;
            }
            (person.done, person.refused)
        }
    });
    let (done, refused): (Vec<_>, Vec<_>) = futures::future::join_all(people).await.into_iter().unzip();
    let count: usize = done.iter().map(BTreeMap::len).sum();
    let done: BTreeMap<u64, Done> = done.into_iter().flatten().collect();
    assert_eq!(done.len(), count, "one revision, made by two");

    let history = client.send(&format!("GET /api/flows/{ID}/history?limit=1000"), &[], "").await.json();
    let mut kept = BTreeMap::new();
    for entry in history["history"].as_array().unwrap() {
        let revision = entry["revision"].as_u64().unwrap();
        kept.insert(revision, client.send(&format!("GET /api/flows/{ID}/history/{revision}"), &[], "").await.json());
    }
    assert_eq!(Vec::from_iter(kept.keys().copied().skip(1)), Vec::from_iter(done.keys().copied()));
    for (revision, done) in &done {
        let (before, after) = (&kept[&(revision - 1)], &kept[revision]);
        match done {
            Done::Edit { part, mark, base, is_merge } => {
                let mut expected = before["flow"].clone();
                edit(&mut expected, *part, mark);
                assert_eq!(sorted(&after["flow"]), sorted(&expected), "{revision}: {done:?}");
                assert!(*is_merge != (*base == revision - 1), "{revision}: {done:?}");
            }
            Done::Delete { base } => assert_eq!((&after["op"], *base), (&json!("delete"), revision - 1)),
            Done::Restore { of, base: Some(base) } => {
                assert_eq!((&after["flow"], *base), (&kept[of]["flow"], revision - 1));
            }
            Done::Restore { of, base: None } => {
                assert_eq!((&after["flow"], &before["op"]), (&kept[of]["flow"], &json!("delete")));
            }
        }
    }
    let merges = done.values().filter(|done| matches!(done, Done::Edit { is_merge: true, .. })).count();
    let deletions = done.values().filter(|done| matches!(done, Done::Delete { .. })).count();
    let refused: u32 = refused.into_iter().sum();
    println!("{merges} merges, {deletions} deletions, {refused} refused");
    assert!(merges > 0 && deletions > 0 && refused > 0, "{merges} merges, {deletions} deletions, {refused} refused");
}
