//! Who may use the routes: everybody, or who holds the key.
//!
//! There are no users, sessions and rights here; a key opens everything. Event streams and WebSockets, which browsers
//! cannot give a header, also take the key from `?auth_token=`; no other route may, because addresses end up in
//! histories and logs.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::App;
use crate::repository::Author;

/// Who may use the routes.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody who can reach the address.
    Anonymous,
    /// Who sends this key as `Authorization: Bearer` (RFC 6750) or `X-API-Key`.
    Key(ApiKey),
}

/// A key, kept as its hash.
#[derive(Clone)]
pub struct ApiKey {
    name: &'static str,
    digest: [u8; 32],
}

impl ApiKey {
    /// The key with this secret. What is done with it has the author `api`.
    pub fn new(secret: &str) -> Self {
        Self { name: "api", digest: Sha256::digest(secret).into() }
    }

    /// Digests are compared and not secrets, so that the time tells nothing about the length either.
    fn opens(&self, secret: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        self.digest.ct_eq(&digest).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Access {
    /// Who sends these headers; `None` is somebody who may not.
    pub(super) fn author(&self, headers: &HeaderMap) -> Option<Author> {
        match self {
            Self::Anonymous => Some(Author::new("anonymous")),
            Self::Key(key) => secrets(headers).any(|secret| key.opens(secret)).then(|| Author::new(key.name)),
        }
    }

    /// Who opens this address, for the routes that browsers open without headers.
    fn author_by_address(&self, address: &Uri) -> Option<Author> {
        let (Self::Key(key), "/api/changes" | "/api/ws") = (self, address.path()) else { return None };
        let mut parameters = form_urlencoded::parse(address.query()?.as_bytes());
        let (_, token) = parameters.find(|(name, _)| name == "auth_token")?;
        key.opens(token.as_bytes()).then(|| Author::new(key.name))
    }
}

fn secrets(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(header::AUTHORIZATION).into_iter().filter_map(|value| {
        let (scheme, secret) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
    });
    bearer.chain(headers.get_all("x-api-key").into_iter().map(|value| value.as_bytes().trim_ascii()))
}

/// Lets only those through who may, and tells the handlers who it is.
pub(super) async fn require(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let author = app.access.author(request.headers()).or_else(|| app.access.author_by_address(request.uri()));
    match author {
        Some(author) => {
            request.extensions_mut().insert(author);
            next.run(request).await
        }
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response(),
    }
}
