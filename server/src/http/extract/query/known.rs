//! The middleware that rejects unknown query parameters. The OpenAPI document lists the known ones, so both always agree.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use crate::http::guard::accepts_key_in_query;
use crate::http::respond::Problem;

/// The names of the query parameters of each route. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct KnownParameters(Arc<HashMap<(String, Method), Vec<String>>>);

impl KnownParameters {
    /// Collects the names from the document.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let routes = document.paths.paths.iter().filter(|(path, _)| !is_page(path));
        let operations = routes.flat_map(|(path, item)| {
            let PathItem { get, put, post, delete, patch, .. } = item;
            let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
            let operations = methods.into_iter().zip([get, put, post, delete, patch]);
            operations.filter_map(|(method, operation)| {
                let mut names = names(operation.as_ref()?);
                if accepts_key_in_query(path) {
                    names.push("auth_token".to_owned());
                }
                Some(((path.clone(), method), names))
            })
        });
        Self(Arc::new(operations.collect()))
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let (Some(query), Some(path)) = (request.uri().query(), request.extensions().get::<MatchedPath>()) else {
            return Ok(());
        };
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let Some(known) = self.0.get(&(path.as_str().to_owned(), method)) else { return Ok(()) };
        for (name, _) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !name.starts_with('_')) {
            if !known.iter().any(|known| **known == *name) {
                return Err(unknown(&name, known));
            }
        }
        Ok(())
    }
}

/// Rejects a request with an unknown query parameter.
pub(crate) async fn check_parameters(State(known): State<KnownParameters>, request: Request, next: Next) -> Response {
    match known.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Reports whether a path serves files of a page. Bookmarks and links add parameters, which harm nothing there.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with("/console") || path.starts_with("/swagger-ui")
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    let in_query = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        _ => None,
    });
    in_query.collect()
}

fn unknown(name: &str, known: &[String]) -> Problem {
    let name: String = name.chars().take(64).collect();
    let distance = |known: &&String| strsim::damerau_levenshtein(&name.to_lowercase(), known);
    match known.iter().min_by_key(distance) {
        Some(nearest) => Problem::parameter(&name, format!("unknown parameter; did you mean `{nearest}`?")),
        None => Problem::parameter(&name, "unknown parameter; this route has none"),
    }
}
