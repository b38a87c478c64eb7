//! `GET /api/flows`

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use strom_store::flow::Flow;
use strom_store::repository::Stored;

use crate::http::app::App;
use crate::http::extract::parameters;
use crate::http::extract::query::{FlowListQuery, View};
use crate::http::respond::description::{Headers, ListOfFlows, Parameters, Problems, Reads};
use crate::http::respond::{RouteResult, flows, flows_validators, summaries, summaries_validators};
use crate::http::storage::read;

/// Approximate memory of a flow in a list, without its document.
const FLOW_OVERHEAD: u64 = 256;

/// Returns all flows ordered by name, or a page of the flows that match the filters.
#[utoipa::path(
    get, path = "/api/flows", tag = "flows", operation_id = "list_flows",
    params(parameters::FilterParameters, parameters::ListParameters, parameters::IfListChanged),
    responses(ListOfFlows, Problems<(Headers, Parameters, Reads)>),
)]
pub(crate) async fn list(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> RouteResult {
    let FlowListQuery { query, view } = FlowListQuery::parse(query.as_deref())?;
    Ok(match view {
        View::Full => {
            let load = read(&app.stack, |repository| repository.list(&query));
            let size = |flow: &Stored<Flow>| FLOW_OVERHEAD + flow.item.document().get().len() as u64;
            let ((stale, page), reservation) =
                app.list_memory.load(query.limit, load, |(_, page)| page.items.iter().map(size).sum()).await?;
            let validators = flows_validators(&page);
            let unchanged = validators.not_modified(&headers)?;
            (stale, unchanged.unwrap_or_else(|| flows(page, reservation, &validators))).into_response()
        }
        View::Summary => {
            let load = read(&app.stack, |repository| repository.summaries(&query));
            let ((stale, page), reservation) =
                app.list_memory.load(query.limit, load, |(_, page)| page.items.len() as u64 * FLOW_OVERHEAD).await?;
            let validators = summaries_validators(&page);
            let unchanged = validators.not_modified(&headers)?;
            (stale, unchanged.unwrap_or_else(|| summaries(page, reservation, &validators))).into_response()
        }
    })
}
