//! The routes that existing clients use, decoded as the types of such a client.
//!
//! The types state the contract again, independently of the server and of its OpenAPI document. So a change to both is a failure.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use strom_store::FlowRepository;

use super::client::{Client, ID};

type Repository = Arc<dyn FlowRepository>;

#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "decoding is the test")]
enum PropertyValue {
    Text(String),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
}

type Properties = HashMap<String, PropertyValue>;

#[derive(Debug, Deserialize, PartialEq)]
enum PipelineState {
    Null,
    Ready,
    Paused,
    Playing,
}

#[derive(Deserialize)]
struct Element {
    id: String,
    element_type: String,
    #[serde(default)]
    properties: Properties,
    position: (f32, f32),
}

#[derive(Deserialize)]
struct Position {
    x: f32,
    y: f32,
}

#[derive(Deserialize)]
struct Block {
    id: String,
    block_definition_id: String,
    properties: Properties,
    position: Position,
}

#[derive(Deserialize)]
struct Link {
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct ClientFlow {
    id: uuid::Uuid,
    name: String,
    #[serde(default)]
    elements: Vec<Element>,
    #[serde(default)]
    blocks: Vec<Block>,
    #[serde(default)]
    links: Vec<Link>,
    #[serde(default)]
    running: bool,
    gst_state: Option<PipelineState>,
}

#[derive(Deserialize)]
struct FlowResponse {
    flow: ClientFlow,
}

#[derive(Deserialize)]
struct FlowListResponse {
    flows: Vec<ClientFlow>,
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    details: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding is the test")]
struct Version {
    version: String,
    git_hash: String,
    git_tag: String,
    git_branch: String,
    git_dirty: bool,
    build_timestamp: String,
}

#[derive(Deserialize)]
struct AuthStatus {
    authenticated: bool,
    auth_required: bool,
    methods: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
enum MediaType {
    Generic,
    Audio,
    Video,
}

#[derive(Deserialize)]
struct Sources {
    sources: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    flow_id: uuid::Uuid,
    flow_name: String,
    outputs: Vec<SourceOutput>,
}

#[derive(Deserialize)]
struct SourceOutput {
    name: String,
    channel_name: String,
    flow_name: String,
    description: Option<String>,
    media_type: MediaType,
    is_active: bool,
}

/// Sends a request and decodes the body. A body that is not empty is JSON.
async fn decoded<T: DeserializeOwned>(client: &Client, line: &str, status: u16, body: &str) -> T {
    let answer = client.send(line, &[], body).await;
    assert_eq!(answer.status, status, "{line}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{line}: {error}: {}", answer.body))
}

pub(super) async fn given_routes_return_the_types_of_the_contract(repository: Repository) {
    let client = &Client::new(repository);
    let path = format!("/api/flows/{ID}");
    assert_eq!(client.send("GET /health", &[], "").await.body, "OK");
    decoded::<Version>(client, "GET /api/version", 200, "").await;
    let AuthStatus { authenticated, auth_required, methods } = decoded(client, "GET /api/auth/status", 200, "").await;
    assert!(authenticated && !auth_required && methods.is_empty());

    let document = json!({
        "id": ID, "name": "one", "gst_state": "Playing", "running": true,
        "elements": [{ "id": "src", "element_type": "audiotestsrc", "properties": { "freq": 440.5, "n": -1 }, "position": [1.5, 2] }],
        "blocks": [{ "id": "out", "block_definition_id": "builtin.inter_output", "properties": { "description": "clean" }, "position": { "x": 1, "y": 2.5 } }],
        "links": [{ "from": "src:src", "to": "out:in" }],
    });
    let document = document.to_string();
    let check = |FlowResponse { flow }: FlowResponse| {
        assert_eq!((flow.id.to_string().as_str(), flow.name.as_str()), (ID, "one"));
        assert_eq!((flow.running, flow.gst_state), (true, Some(PipelineState::Playing)));
        let (element, block, link) = (&flow.elements[0], &flow.blocks[0], &flow.links[0]);
        assert_eq!(
            (element.id.as_str(), element.element_type.as_str(), element.position),
            ("src", "audiotestsrc", (1.5, 2.0))
        );
        assert_eq!((block.id.as_str(), block.block_definition_id.as_str()), ("out", "builtin.inter_output"));
        assert_eq!((block.position.x, block.position.y), (1.0, 2.5));
        assert!(element.properties.contains_key("freq") && block.properties.contains_key("description"));
        assert_eq!((link.from.as_str(), link.to.as_str()), ("src:src", "out:in"));
    };
    check(decoded(client, "POST /api/flows", 201, &document).await);
    check(decoded(client, &format!("GET {path}"), 200, "").await);
    check(decoded(client, &format!("PUT {path}"), 200, &document).await);
    check(decoded(client, &format!("POST {path}"), 200, &document).await);
    let FlowListResponse { flows } = decoded(client, "GET /api/flows", 200, "").await;
    check(FlowResponse { flow: flows.into_iter().next().unwrap() });

    let Sources { sources } = decoded(client, "GET /api/sources", 200, "").await;
    let [Source { flow_id, flow_name, outputs }] = sources.try_into().ok().expect("one flow offers a stream");
    assert_eq!((flow_id.to_string().as_str(), flow_name.as_str()), (ID, "one"));
    let [output] = outputs.try_into().ok().expect("the flow has one output");
    let SourceOutput { name, channel_name, flow_name, description, media_type, is_active } = output;
    assert_eq!((name.as_str(), channel_name), ("out", format!("strom_{ID}_out")));
    assert_eq!((flow_name.as_str(), description.as_deref(), is_active), ("one", Some("clean"), true));
    assert_eq!(media_type, MediaType::Generic);
    for (route, member) in [("elements", "elements"), ("blocks", "blocks"), ("network/interfaces", "interfaces")] {
        let body: HashMap<String, Vec<serde_json::Value>> =
            decoded(client, &format!("GET /api/{route}"), 200, "").await;
        assert!(body[member].is_empty(), "{route}");
    }

    let properties = format!("PATCH {path}/properties");
    decoded::<FlowResponse>(client, &properties, 200, r#"{"properties":{"clock_type":"ptp"}}"#).await;
    for verb in ["start", "stop"] {
        let ErrorResponse { error, details } = decoded(client, &format!("POST {path}/{verb}"), 501, "").await;
        assert!(!error.is_empty() && details.is_some(), "{verb}");
    }
    let deleted = client.send(&format!("DELETE {path}"), &[], "").await;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    let ErrorResponse { error, .. } = decoded(client, &format!("GET {path}"), 404, "").await;
    assert!(!error.is_empty());
    let ErrorResponse { error, .. } = decoded(client, "GET /api/unknown", 404, "").await;
    assert!(!error.is_empty());
}
