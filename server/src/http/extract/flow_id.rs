//! The id of a flow in a path.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use strom_store::flow::FlowId;

use crate::http::respond::{Problem, ProblemKind};

/// The path parameter `id`: a UUID in any of its forms.
pub(crate) struct PathId(pub(crate) FlowId);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await.ok();
        let id = path.and_then(|path| path.iter().find(|(name, _)| *name == "id")?.1.parse().ok());
        id.map(Self).ok_or_else(|| Problem::new(ProblemKind::InvalidId, "the id in the path must be a UUID"))
    }
}
