//! Responses to requests without a route, and to requests whose handler panics.

use std::any::Any;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::http::observe::shortened;
use crate::http::respond::{Problem, ProblemKind};

pub(crate) async fn no_such_route(request: Request) -> Problem {
    Problem::new(ProblemKind::NoSuchRoute, format!("no route at `{}`", shortened(request.uri().path())))
}

/// Responds to `OPTIONS`, and to methods that the path does not support. axum adds `Allow`.
pub(crate) async fn other_method(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = format!("this path does not support the method `{}`", request.method());
    Problem::new(ProblemKind::MethodNotAllowed, detail).into_response()
}

/// The panic hook has already logged the panic.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(ProblemKind::Internal, "ask the operator: the server log contains the reason").into_response()
}
