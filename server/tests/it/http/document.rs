//! Checks responses against the OpenAPI document of the server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::Body;
use axum::http::Request;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::client::{Answer, Client};

pub(super) const METHODS: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];

pub(super) struct Document {
    document: Value,
    schemas: Arc<Schemas>,
}

/// The components of a document, and the compiled schemas that use them. Each schema is compiled once per process, because
/// compiling takes longer than the rest of a check.
struct Schemas {
    components: Value,
    validators: Mutex<HashMap<String, Arc<OnceLock<Validator>>>>,
}

static SCHEMAS: Mutex<Vec<Arc<Schemas>>> = Mutex::new(Vec::new());

impl Schemas {
    /// Returns the shared value for these components.
    fn of(components: &Value) -> Arc<Self> {
        let mut known = SCHEMAS.lock().unwrap();
        if let Some(schemas) = known.iter().find(|schemas| schemas.components == *components) {
            return Arc::clone(schemas);
        }
        let schemas = Arc::new(Self { components: components.clone(), validators: Mutex::default() });
        known.push(Arc::clone(&schemas));
        schemas
    }

    /// Calls `check` with the compiled schema.
    fn with_validator<T>(&self, schema: &Value, check: impl FnOnce(&Validator) -> T) -> T {
        let validator = Arc::clone(self.validators.lock().unwrap().entry(schema.to_string()).or_default());
        check(validator.get_or_init(|| self.compile(schema)))
    }

    fn compile(&self, schema: &Value) -> Validator {
        let mut schema = schema.as_object().cloned().unwrap_or_default();
        schema.insert("components".into(), self.components.clone());
        if !schema.contains_key("type") {
            schema.insert("unevaluatedProperties".into(), json!(false));
        }
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&Value::Object(schema)).unwrap()
    }
}

/// One operation of the document: a method of a path.
#[derive(Clone, Copy)]
pub(super) struct Operation<'d> {
    pub(super) method: &'static str,
    pub(super) path: &'d str,
    pub(super) declared: &'d Value,
}

impl Operation<'_> {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Returns the responses by status.
    pub(super) fn responses(&self) -> &Map<String, Value> {
        self.declared["responses"].as_object().unwrap()
    }

    pub(super) fn parameters(&self) -> &[Value] {
        self.declared["parameters"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// Replaces references to these components by the components.
fn resolve(value: &mut Value, prefix: &str, components: &Value) {
    if let Some(name) = value["$ref"].as_str().and_then(|reference| reference.strip_prefix(prefix)) {
        *value = components[name].clone();
        assert!(value.is_object(), "the reference leads to a component");
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, prefix, components)),
        Value::Object(members) => members.values_mut().for_each(|member| resolve(member, prefix, components)),
        _ => {}
    }
}

impl Document {
    /// Reads the document from the server. The document allows further members in responses. Here, an undeclared member of a body
    /// that the server generates is an error.
    pub(super) async fn of(client: &Client) -> Self {
        let mut document = client.send("GET /api-docs/openapi.json", &[], "").await.json();
        let parameters = document["components"]["parameters"].clone();
        resolve(&mut document["paths"], "#/components/parameters/", &parameters);
        let schemas = document["components"]["schemas"].as_object_mut().unwrap();
        // Other schemas include these schemas, so these must accept further members.
        let is_part = |name: &str| ["Problem", "Contents", "ImportReport"].contains(&name);
        for (name, schema) in schemas.iter_mut().filter(|(name, _)| !is_part(name)) {
            let schema = schema.as_object_mut().unwrap();
            if schema.contains_key("allOf") {
                schema.insert("unevaluatedProperties".into(), json!(false));
            } else if schema.contains_key("properties") && name != "FlowProperties" && name != "Document" {
                schema.entry("additionalProperties").or_insert(json!(false));
            }
        }
        let schemas = Schemas::of(&document["components"]);
        Self { document, schemas }
    }

    pub(super) fn raw(&self) -> &Value {
        &self.document
    }

    pub(super) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let paths = self.document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            METHODS.into_iter().filter_map(move |method| {
                let declared = item.get(method.to_lowercase())?;
                Some(Operation { method, path, declared })
            })
        })
    }

    /// Returns the declared operation of this request line.
    pub(super) fn operation(&self, line: &str) -> Operation<'_> {
        let (method, path) = line.split_once(' ').unwrap();
        let path: Vec<_> = path.split('?').next().unwrap().split('/').collect();
        let is_at = |operation: &Operation<'_>| {
            let declared: Vec<_> = operation.path.split('/').collect();
            let same = |(declared, path): (&&str, &&str)| declared == path || declared.starts_with('{');
            operation.method == method && declared.len() == path.len() && declared.iter().zip(&path).all(same)
        };
        let found = self.operations().filter(is_at).min_by_key(|operation| operation.path.matches('{').count());
        found.unwrap_or_else(|| panic!("{line}: not in the document"))
    }

    /// Checks that the document declares this response, its headers and its body.
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
            (Some(content), Some(content_type)) => {
                let essence = |declared: &str| declared.split(';').next().unwrap().to_owned();
                let declared = content.iter().find(|(declared, _)| essence(declared) == essence(content_type));
                let (_, declared) = declared.unwrap_or_else(|| panic!("{line}: {content_type} is not declared"));
                let body = match essence(content_type).rsplit(['/', '+']).next() {
                    Some("json") => answer.json(),
                    Some("x-ndjson") => {
                        answer.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
                    }
                    _ => Value::from(answer.body.as_str()),
                };
                self.validate(&declared["schema"], &body).unwrap_or_else(|error| panic!("{line}: {error}\n{body}"));
            }
            other => panic!("{line}: declared and sent: {other:?}"),
        }
    }

    /// Checks a value against a schema.
    pub(super) fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let errors: Vec<_> = self
            .schemas
            .with_validator(schema, |validator| validator.iter_errors(value).map(|error| error.to_string()).collect());
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }
}

/// The statuses that the server has returned for each operation.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, Vec<String>>);

impl Seen {
    pub(super) fn add(&mut self, operation: &Operation<'_>, status: u16) {
        self.0.entry(operation.name()).or_default().push(status.to_string());
    }

    /// Returns the declared statuses that the server has not returned, except these.
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

/// Returns a request with these headers. The content type is JSON unless a header sets another one.
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
