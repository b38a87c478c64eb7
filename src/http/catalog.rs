//! What clients ask for besides flows: the kinds of elements and blocks that an engine has, which here are none, and the
//! streams that flows offer to each other.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::flows::Answer;
use super::openapi::{Problems, Reads, schemas};
use crate::flow::{Flow, FlowId, GstState};
use crate::repository::{Containment, Filter, ListQuery};

/// The block that offers a stream of its flow to others.
const OUTPUT: &str = "builtin.inter_output";

/// The kinds of elements that an engine has: none here.
#[utoipa::path(
    get, path = "/api/elements", tag = "catalog", operation_id = "list_elements",
    responses((status = 200, description = "None.", body = schemas::Elements, example = json!({ "elements": [] }))),
)]
pub(super) async fn elements() -> Json<Value> {
    Json(json!({ "elements": [] }))
}

/// The kinds of blocks that an engine has: none here.
#[utoipa::path(
    get, path = "/api/blocks", tag = "catalog", operation_id = "list_blocks",
    responses((status = 200, description = "None.", body = schemas::Blocks, example = json!({ "blocks": [] }))),
)]
pub(super) async fn blocks() -> Json<Value> {
    Json(json!({ "blocks": [] }))
}

/// The network interfaces that an engine has: none here.
#[utoipa::path(
    get, path = "/api/network/interfaces", tag = "catalog", operation_id = "list_network_interfaces",
    responses(
        (status = 200, description = "None.", body = schemas::NetworkInterfaces, example = json!({ "interfaces": [] })),
    ),
)]
pub(super) async fn network_interfaces() -> Json<Value> {
    Json(json!({ "interfaces": [] }))
}

/// The flows that offer streams to others.
#[derive(Serialize, ToSchema)]
struct Sources {
    sources: Vec<Source>,
}

/// A flow that offers streams to others.
#[derive(Serialize, ToSchema)]
struct Source {
    #[schema(value_type = Uuid)]
    flow_id: FlowId,
    flow_name: String,
    outputs: Vec<Output>,
}

/// A stream that a flow offers to others.
#[derive(Serialize, ToSchema)]
struct Output {
    /// The id of the block.
    name: String,
    /// What an input in another flow names to receive it.
    channel_name: String,
    flow_name: String,
    #[schema(required)]
    description: Option<String>,
    /// Channels carry whatever they are given.
    media_type: &'static str,
    /// Whether the flow was last reported to run.
    is_active: bool,
}

/// The flows that offer streams to others, by name.
#[utoipa::path(
    get, path = "/api/sources", tag = "catalog", operation_id = "list_sources",
    responses(
        (
            status = 200, description = "The flows and their streams.", body = Sources,
            headers(("Strom-Stale" = u64, description = "The storage is away; this is as of at most so many seconds ago.")),
            example = json!({ "sources": [{
                "flow_id": "00000000-0000-4000-8000-0000000000a1", "flow_name": "Studio 1",
                "outputs": [{
                    "name": "out", "channel_name": "strom_00000000-0000-4000-8000-0000000000a1_out", "flow_name": "Studio 1",
                    "description": null, "media_type": "generic", "is_active": false,
                }],
            }] }),
        ),
        Problems<Reads>,
    ),
)]
pub(super) async fn sources(State(app): State<App>) -> Answer {
    // Only they are read: the search goes through the index.
    let offers = format!(r#"{{"blocks":[{{"block_definition_id":"{OUTPUT}"}}]}}"#);
    let contains = Some(Containment::parse(&offers)?);
    let query = ListQuery { filter: Filter { contains, ..Filter::default() }, ..ListQuery::default() };
    let (stale, page) = app.read(|repository| repository.list(&query)).await?;
    let sources = page.items.iter().map(|stored| source(&stored.item)).collect();
    Ok((stale, Json(Sources { sources })).into_response())
}

/// What is read of a document for it; blocks that are none are passed over.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    running: Value,
    blocks: Vec<Value>,
}

fn source(flow: &Flow) -> Source {
    let head = flow.head();
    // A document that has the block has an array of blocks.
    let document = flow.decode().unwrap_or(Document { running: Value::Null, blocks: Vec::new() });
    let is_active = document.running == true || head.state == GstState::Playing;
    let output = |block: &Value| {
        let name = block["id"].as_str().filter(|_| block["block_definition_id"] == OUTPUT)?;
        let description = block["properties"]["description"].as_str().filter(|text| !text.is_empty());
        Some(Output {
            name: name.to_owned(),
            channel_name: format!("strom_{}_{name}", head.id),
            flow_name: head.name.clone(),
            description: description.map(str::to_owned),
            media_type: "generic",
            is_active,
        })
    };
    let outputs = document.blocks.iter().filter_map(output).collect();
    Source { flow_id: head.id, flow_name: head.name.clone(), outputs }
}
