//! An OpenAPI document that answers are held to.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::client::{Answer, Client};

pub(super) const METHODS: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];

pub(super) struct Document(Value);

/// What is done under one path.
#[derive(Clone, Copy)]
pub(super) struct Operation<'d> {
    pub(super) method: &'static str,
    pub(super) path: &'d str,
    pub(super) told: &'d Value,
}

impl Operation<'_> {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Its responses by status.
    pub(super) fn responses(&self) -> &Map<String, Value> {
        self.told["responses"].as_object().unwrap()
    }

    pub(super) fn parameters(&self) -> &[Value] {
        self.told["parameters"].as_array().map_or(&[], Vec::as_slice)
    }
}

impl Document {
    /// The document that the server shows. What the server makes by itself is closed: a member that the document does
    /// not name is an error here, though clients should not mind one.
    pub(super) async fn of(client: &Client) -> Self {
        let mut document = client.send("GET /api-docs/openapi.json", &[], "").await.json();
        let schemas = document["components"]["schemas"].as_object_mut().unwrap();
        // These are parts of others.
        let is_part = |name: &str| ["Problem", "Contents", "ImportReport"].contains(&name);
        for (name, schema) in schemas.iter_mut().filter(|(name, _)| !is_part(name)) {
            let schema = schema.as_object_mut().unwrap();
            if schema.contains_key("allOf") {
                schema.insert("unevaluatedProperties".into(), json!(false));
            } else if schema.contains_key("properties") && name != "FlowProperties" && name != "Document" {
                schema.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Self(document)
    }

    pub(super) fn raw(&self) -> &Value {
        &self.0
    }

    pub(super) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            METHODS.into_iter().filter_map(move |method| {
                let told = item.get(method.to_lowercase())?;
                Some(Operation { method, path, told })
            })
        })
    }

    /// What is done by this request line.
    pub(super) fn operation(&self, line: &str) -> Operation<'_> {
        let (method, path) = line.split_once(' ').unwrap();
        let path: Vec<_> = path.split('?').next().unwrap().split('/').collect();
        let is_at = |operation: &Operation<'_>| {
            let told: Vec<_> = operation.path.split('/').collect();
            let same = |(told, path): (&&str, &&str)| told == path || told.starts_with('{');
            operation.method == method && told.len() == path.len() && told.iter().zip(&path).all(same)
        };
        let found = self.operations().filter(is_at).min_by_key(|operation| operation.path.matches('{').count());
        found.unwrap_or_else(|| panic!("{line}: not in the document"))
    }

    /// Holds an answer to what is told of it.
    pub(super) fn check(&self, line: &str, answer: &Answer) {
        let operation = self.operation(line);
        let Some(response) = operation.responses().get(&answer.status.to_string()) else {
            panic!("{line}: {} is not declared: {}", answer.status, answer.body)
        };
        for (name, header) in response["headers"].as_object().unwrap_or(&Map::new()) {
            for value in answer.headers.get_all(name.to_lowercase()) {
                let value = value.to_str().unwrap();
                let value = match header["schema"]["type"] == "integer" {
                    true => serde_json::from_str(value).unwrap(),
                    false => Value::from(value),
                };
                self.validate(&header["schema"], &value).unwrap_or_else(|error| panic!("{line}: {name}: {error}"));
            }
        }
        let content = response.get("content").and_then(Value::as_object);
        let content_type = answer.headers.get("content-type").map(|value| value.to_str().unwrap());
        match (content, content_type) {
            (None, None) => assert_eq!(answer.body, "", "{line}"),
            // OpenAPI cannot say that a body may be absent.
            (Some(_), None) if answer.headers.contains_key("preference-applied") => {
                assert_eq!(answer.body, "", "{line}")
            }
            (Some(content), Some(content_type)) => {
                let essence = |told: &str| told.split(';').next().unwrap().to_owned();
                let told = content.iter().find(|(told, _)| essence(told) == essence(content_type));
                let (_, told) = told.unwrap_or_else(|| panic!("{line}: {content_type} is not declared"));
                let body = match essence(content_type).rsplit(['/', '+']).next() {
                    Some("json") => answer.json(),
                    Some("x-ndjson") => {
                        answer.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
                    }
                    _ => Value::from(answer.body.as_str()),
                };
                self.validate(&told["schema"], &body).unwrap_or_else(|error| panic!("{line}: {error}\n{body}"));
            }
            other => panic!("{line}: declared and sent: {other:?}"),
        }
    }

    /// Whether the value is what the schema tells.
    pub(super) fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut schema = schema.as_object().cloned().unwrap_or_default();
        schema.insert("components".into(), self.0["components"].clone());
        if !schema.contains_key("type") {
            schema.insert("unevaluatedProperties".into(), json!(false));
        }
        let validator = validator(&Value::Object(schema));
        let errors: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(schema).unwrap()
}

/// Which operations have been seen to answer with which statuses.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, Vec<String>>);

impl Seen {
    pub(super) fn add(&mut self, operation: &Operation<'_>, status: u16) {
        self.0.entry(operation.name()).or_default().push(status.to_string());
    }

    /// What the document tells and nobody has seen, without these statuses.
    pub(super) fn missing(&self, document: &Document, without: &[&str]) -> Vec<String> {
        let missing = document.operations().flat_map(|operation| {
            let seen = self.0.get(&operation.name()).cloned().unwrap_or_default();
            let missing = operation.responses().keys().filter(|status| !seen.contains(status));
            let missing = missing.filter(|status| !without.contains(&status.as_str()));
            missing.map(|status| format!("{} {status}", operation.name())).collect::<Vec<_>>()
        });
        missing.collect()
    }
}

/// A request with these headers; a body is JSON where they do not say otherwise.
pub(super) fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if !body.is_empty() && headers.iter().all(|(name, _)| *name != "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}
