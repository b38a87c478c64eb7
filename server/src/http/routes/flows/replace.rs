//! The replacement of an existing flow, by `PUT` or `POST`.

use strom_store::envelope::flow_text;
use strom_store::flow::{Flow, FlowId};
use strom_store::repository::{Author, Revision};

use crate::http::app::App;
use crate::http::extract::RequestPrecondition;
use crate::http::respond::{Problem, ProblemKind, RouteResult};
use crate::http::storage::{Edit, EditRequest, store_edit};

/// Parses a flow or `{"flow": …}`. The id of the flow must be the id in the path.
pub(super) fn parse_flow(id: FlowId, text: &str) -> Result<Flow, Problem> {
    let flow = Flow::parse(flow_text(text))?;
    if flow.id() == id {
        Ok(flow)
    } else {
        Err(Problem::new(ProblemKind::IdMismatch, format!("the id in the path is {id}, but `$.id` is {}", flow.id())))
    }
}

/// Replaces a flow under the precondition. `merge` is the revision that the client edited, if the request asks for a merge.
pub(super) async fn replace_flow(
    app: &App,
    flow: &Flow,
    precondition: RequestPrecondition,
    merge: Option<Revision>,
    author: Author,
) -> RouteResult {
    let request = EditRequest { id: flow.id(), precondition, merge, author };
    store_edit(app, request, Edit::Whole(flow)).await
}
