//! Responses to requests without a route, and to requests whose handler panics.

use std::any::Any;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use crate::http::respond::{Problem, ProblemKind};

pub(crate) async fn no_such_route(request: Request) -> Problem {
    Problem::new(ProblemKind::NoSuchRoute, format!("no route at `{}`", request.uri().path()))
}

pub(crate) async fn method_not_allowed(request: Request) -> Problem {
    Problem::new(ProblemKind::MethodNotAllowed, format!("this path does not support the method `{}`", request.method()))
}

/// The panic hook has already logged the panic.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(ProblemKind::Internal, "ask the operator: the server log contains the reason").into_response()
}
