//! `GET /api/sources`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strom_store::flow::{Flow, FlowId, GstState};
use strom_store::repository::{Containment, Filter, ListQuery};
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::extract::parameters;
use crate::http::respond::description::{Headers, ListNotModified, Problems, Reads};
use crate::http::respond::{RouteResult, json_list};
use crate::http::storage::read;

/// The block that offers a stream of its flow to other flows.
const OUTPUT_BLOCK: &str = "builtin.inter_output";

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
    /// The channel name that an input in another flow uses to receive the stream.
    channel_name: String,
    flow_name: String,
    #[schema(required)]
    description: Option<String>,
    media_type: MediaType,
    /// Whether the last report says that the flow runs.
    is_active: bool,
}

/// The media of a stream. Existing clients know these three values.
#[derive(Serialize, ToSchema)]
enum MediaType {
    /// Any media. The store cannot look into a channel, so it reports only this value.
    Generic,
    #[expect(dead_code, reason = "part of the schema that clients decode")]
    Audio,
    #[expect(dead_code, reason = "part of the schema that clients decode")]
    Video,
}

/// Returns the flows that offer streams to other flows, ordered by name.
#[utoipa::path(
    get, path = "/api/sources", tag = "catalog", operation_id = "list_sources",
    params(parameters::IfListChanged),
    responses(
        (
            status = 200, description = "The flows and their streams.", body = Sources,
            headers(("Strom-Stale" = u64, description = "Maximum age of the data in seconds. Present only during an \
                                                         outage of the storage.")),
            example = json!({ "sources": [{
                "flow_id": "00000000-0000-4000-8000-0000000000a1", "flow_name": "Studio 1",
                "outputs": [{
                    "name": "out", "channel_name": "strom_00000000-0000-4000-8000-0000000000a1_out", "flow_name": "Studio 1",
                    "description": null, "media_type": "Generic", "is_active": false,
                }],
            }] }),
        ),
        ListNotModified, Problems<(Headers, Reads)>,
    ),
)]
pub(crate) async fn sources(State(app): State<App>, headers: HeaderMap) -> RouteResult {
    // The filter uses the index, so the storage reads only flows with outputs.
    let offers = format!(r#"{{"blocks":[{{"block_definition_id":"{OUTPUT_BLOCK}"}}]}}"#);
    let contains = Some(Containment::parse(&offers)?);
    let query = ListQuery { filter: Filter { contains, ..Filter::default() }, ..ListQuery::default() };
    let (stale, page) = read(&app.stack, |repository| repository.list(&query)).await?;
    let sources = page.items.iter().map(|stored| source(&stored.item)).collect();
    let times = page.items.iter().map(|stored| stored.version.updated_at);
    Ok((stale, json_list(&headers, &Sources { sources }, times)?).into_response())
}

/// The members of a document that determine its outputs. Invalid blocks are ignored.
#[derive(Deserialize)]
struct SourceDocument {
    #[serde(default)]
    running: Value,
    blocks: Vec<Value>,
}

fn source(flow: &Flow) -> Source {
    let head = flow.head();
    // Decoding cannot fail: the filter requires an array of blocks.
    let document = flow.decode().unwrap_or(SourceDocument { running: Value::Null, blocks: Vec::new() });
    let is_active = document.running == true || head.state == GstState::Playing;
    let output = |block: &Value| {
        let name = block["id"].as_str().filter(|_| block["block_definition_id"] == OUTPUT_BLOCK)?;
        let description = block["properties"]["description"].as_str().filter(|text| !text.is_empty());
        Some(Output {
            name: name.to_owned(),
            channel_name: format!("strom_{}_{name}", head.id),
            flow_name: head.name.clone(),
            description: description.map(str::to_owned),
            media_type: MediaType::Generic,
            is_active,
        })
    };
    let outputs = document.blocks.iter().filter_map(output).collect();
    Source { flow_id: head.id, flow_name: head.name.clone(), outputs }
}
