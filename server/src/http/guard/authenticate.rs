//! The middleware that checks keys and rate limits.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Span;
use url::form_urlencoded;

use super::access::{accepts_key_in_query, secrets};
use super::api_key::Caller;
use crate::http::app::App;
use crate::http::respond::{Problem, ProblemKind};

/// Passes every request within the rate limit.
pub(crate) async fn limited(State(app): State<App>, request: Request, next: Next) -> Response {
    match identify(&app, &request) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Passes requests with a valid key within the rate limit. Adds the author and the [`KeyValidity`](super::KeyValidity) to the
/// request.
pub(crate) async fn authenticated(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let caller = match identify(&app, &request) {
        Ok(Some(caller)) => caller,
        Ok(None) => return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response(),
        Err(problem) => return problem.into_response(),
    };
    if caller.is_read_only && !request.method().is_safe() {
        let name = caller.name.as_str();
        let detail = format!("the API key `{name}` is read-only; send changes with another key");
        return Problem::new(ProblemKind::ReadOnlyKey, detail).into_response();
    }
    request.extensions_mut().insert(app.access.validity(&caller));
    request.extensions_mut().insert(caller.name);
    next.run(request).await
}

/// Returns the caller of the request. Fails if the request exceeds a limit.
fn identify(app: &App, request: &Request) -> Result<Option<Caller>, Problem> {
    let caller = find_caller(app, request)?;
    app.limits.count_request(request, caller.as_ref())?;
    Ok(caller)
}

/// Returns the caller of the request. Fails if the client sends too many wrong keys. Every route that evaluates keys must call this
/// function: otherwise a client could try any number of keys there.
pub(crate) fn find_caller(app: &App, request: &Request) -> Result<Option<Caller>, Problem> {
    let in_query = secret_in_query(request);
    let mut secrets = secrets(request.headers()).chain(in_query.as_ref().map(String::as_bytes)).peekable();
    let has_secret = secrets.peek().is_some();
    let caller = app.access.find_caller(secrets);
    match &caller {
        Some(caller) => _ = Span::current().record("author", caller.name.as_str()),
        None if has_secret => app.limits.count_wrong_key(request)?,
        None => {}
    }
    Ok(caller)
}

fn secret_in_query(request: &Request) -> Option<String> {
    if request.method() != Method::GET || !accepts_key_in_query(request.uri().path()) {
        return None;
    }
    let mut parameters = form_urlencoded::parse(request.uri().query()?.as_bytes());
    let (_, secret) = parameters.find(|(name, _)| name == "auth_token")?;
    (!secret.trim().is_empty()).then(|| secret.into_owned())
}
