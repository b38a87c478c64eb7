//! Who may use the routes: everybody, or who holds a key.
//!
//! There are no users, sessions and rights here; a key opens everything, or everything that is read. Event streams and
//! WebSockets, which browsers cannot give a header, also take the key from `?auth_token=`; no other route may, because
//! addresses end up in histories and logs.

mod key;
mod keys_file;
mod standing;

pub use key::{ApiKey, Keys};
pub use keys_file::{KeysFile, KeysFileError};
pub(super) use standing::Standing;

use std::slice;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Span;
use url::form_urlencoded;

use super::App;
use super::problem::{Kind, Problem};
use crate::repository::Author;
use key::holder;

/// Who may use the routes.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody who can reach the address.
    Anonymous,
    /// Who sends this key as `Authorization: Bearer` (RFC 6750) or `X-API-Key`.
    Key(ApiKey),
    /// Who sends one of these keys.
    Keys(Keys),
}

/// Who sends a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: Author,
    pub(super) is_read_only: bool,
    /// Of the secret. Who has none is known by where it comes from.
    digest: Option<[u8; 32]>,
}

impl Caller {
    pub(super) fn has_key(&self) -> bool {
        self.digest.is_some()
    }
}

impl Access {
    pub(super) fn asks_for_a_key(&self) -> bool {
        !matches!(self, Self::Anonymous)
    }

    /// How long this caller may stay.
    fn standing(&self, caller: &Caller) -> Standing {
        match (self, caller.digest) {
            (Self::Keys(keys), Some(digest)) => Standing::of(keys, digest),
            _ => Standing::default(),
        }
    }

    /// Who sends these headers; `None` is somebody who may not.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        self.first_holder(secrets(headers))
    }

    /// Who holds one of these secrets. Without keys it is anybody.
    fn first_holder<'a>(&self, mut secrets: impl Iterator<Item = &'a [u8]>) -> Option<Caller> {
        match self {
            Self::Anonymous => Some(Caller { name: Author::new("anonymous"), is_read_only: false, digest: None }),
            Self::Key(key) => secrets.find_map(|secret| holder(slice::from_ref(key), secret)),
            Self::Keys(keys) => {
                let keys = keys.now();
                secrets.find_map(|secret| holder(&keys, secret))
            }
        }
    }
}

fn secrets(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(header::AUTHORIZATION).into_iter().filter_map(|value| {
        let (scheme, secret) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
    });
    bearer.chain(headers.get_all("x-api-key").into_iter().map(|value| value.as_bytes().trim_ascii()))
}

/// Whether browsers open this path without headers, so that the key may be in the address.
pub(super) fn is_by_address(path: &str) -> bool {
    matches!(path, "/api/changes" | "/api/ws")
}

/// The secret in the address, on the routes that browsers open without headers.
fn secret_in_address(request: &Request) -> Option<String> {
    if request.method() != Method::GET || !is_by_address(request.uri().path()) {
        return None;
    }
    let mut parameters = form_urlencoded::parse(request.uri().query()?.as_bytes());
    parameters.find(|(name, _)| name == "auth_token").map(|(_, secret)| secret.into_owned())
}

impl App {
    /// Who sends this request, and whether it is one too many.
    fn identify(&self, request: &Request) -> Result<Option<Caller>, Problem> {
        let in_address = secret_in_address(request);
        let mut secrets = secrets(request.headers()).chain(in_address.as_ref().map(String::as_bytes)).peekable();
        let has_tried = secrets.peek().is_some();
        let caller = self.access.first_holder(secrets);
        match &caller {
            Some(caller) => _ = Span::current().record("author", caller.name.as_str()),
            None if has_tried => self.limits.wrong_key(request)?,
            None => {}
        }
        self.limits.request(request, caller.as_ref())?;
        Ok(caller)
    }
}

/// Lets everybody through, who is not too many.
pub(super) async fn greet(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.identify(&request) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets only those through who may, and tells the handlers who it is.
pub(super) async fn require(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let caller = match app.identify(&request) {
        Ok(Some(caller)) => caller,
        Ok(None) => return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response(),
        Err(problem) => return problem.into_response(),
    };
    if caller.is_read_only && !request.method().is_safe() {
        let name = caller.name.as_str();
        let detail = format!("the key `{name}` only reads; send changes with a key that is not read-only");
        return Problem::new(Kind::ReadOnlyKey, detail).into_response();
    }
    request.extensions_mut().insert(app.access.standing(&caller));
    request.extensions_mut().insert(caller.name);
    next.run(request).await
}
