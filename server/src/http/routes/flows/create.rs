//! `POST /api/flows`

use axum::Extension;
use axum::extract::State;
use strom_store::envelope::flow_text;
use strom_store::flow::Draft;
use strom_store::repository::{Author, Precondition};

use crate::clock;
use crate::http::app::App;
use crate::http::extract::JsonText;
use crate::http::respond::description::{Bodies, Created, Creates, Problems, Writes, examples, schemas};
use crate::http::respond::{RouteResult, created_flow};
use crate::http::storage::put;

/// Creates a flow. The body is a flow or `{"flow": …}`.
#[utoipa::path(
    post, path = "/api/flows", tag = "flows", operation_id = "create_flow",
    request_body(content = schemas::NewFlow, example = json!(examples::flow())),
    responses(Created, Problems<(Creates, Bodies, Writes)>),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Extension(author): Extension<Author>,
    JsonText(text): JsonText,
) -> RouteResult {
    let flow = Draft::parse(flow_text(&text))?.into_flow(clock::new_id())?;
    let version = put(app.repository(), flow.clone(), Precondition::Absent, author).await?;
    Ok(created_flow(&flow, version.revision))
}
