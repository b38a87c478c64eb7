//! Access to the routes: for every client, or for clients with a key.
//!
//! There are no users, sessions or permissions. A key allows all requests or only reads. Browsers cannot send headers with event
//! streams and WebSockets, so these routes also accept the key as `?auth_token=`. Other routes do not, because browsers and
//! proxies record URLs.

use std::slice;

use axum::http::{HeaderMap, header};
use strom_store::repository::Author;

use super::api_key::{ApiKey, Caller, Keys, find_holder};
use super::key_validity::KeyValidity;

/// The clients that may use the routes.
#[derive(Debug, Clone)]
pub enum Access {
    /// Every client that can reach the address.
    Anonymous,
    /// Clients that send this key as `Authorization: Bearer` (RFC 6750) or `X-API-Key`.
    Key(ApiKey),
    /// Clients that send one of these keys.
    Keys(Keys),
}

impl Access {
    pub(crate) fn requires_key(&self) -> bool {
        !matches!(self, Self::Anonymous)
    }

    /// Observes the key of this caller.
    pub(super) fn validity(&self, caller: &Caller) -> KeyValidity {
        match (self, caller.digest) {
            (Self::Keys(keys), Some(digest)) => KeyValidity::of(keys, digest),
            _ => KeyValidity::default(),
        }
    }

    /// Returns the caller that sends these headers. `None` if the request has no valid key.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        self.find_caller(secrets(headers))
    }

    /// Returns the first caller with one of these secrets. Without keys, every client is an anonymous caller.
    pub(super) fn find_caller<'a>(&self, mut secrets: impl Iterator<Item = &'a [u8]>) -> Option<Caller> {
        match self {
            Self::Anonymous => Some(Caller { name: Author::new("anonymous"), is_read_only: false, digest: None }),
            Self::Key(key) => secrets.find_map(|secret| find_holder(slice::from_ref(key), secret)),
            Self::Keys(keys) => {
                let keys = keys.current();
                secrets.find_map(|secret| find_holder(&keys, secret))
            }
        }
    }
}

/// Returns the secrets in the headers. A blank header is no secret.
pub(super) fn secrets(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(header::AUTHORIZATION).into_iter().filter_map(|value| {
        let (scheme, secret) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
    });
    let plain = headers.get_all("x-api-key").into_iter().map(|value| value.as_bytes().trim_ascii());
    bearer.chain(plain).filter(|secret| !secret.is_empty())
}

/// Reports whether browsers open this path without headers.
pub(crate) fn accepts_key_in_query(path: &str) -> bool {
    matches!(path, "/api/changes" | "/api/ws")
}
