//! Checks before a request reaches its route: the host, the key and the number of requests.
//!
//! | file | content |
//! |---|---|
//! | `access`, `api_key` | which clients may use the routes; the keys |
//! | `secret` | the rule for secrets |
//! | `keys_file`, `keys_file_format` | a file with keys that the server reloads; its format |
//! | `key_validity` | whether the key of an open stream is still valid |
//! | `authenticate` | the middleware that checks keys and rate limits |
//! | `limits` | rate limits |
//! | `cors` | origins whose pages may use the API |
//! | `proxies` | the address of the client behind trusted proxies |
//! | `hosts`, `check_host` | the host names that the server accepts; the middleware that checks them |

mod access;
mod api_key;
mod authenticate;
mod check_host;
mod cors;
mod hosts;
mod key_validity;
mod keys_file;
mod keys_file_format;
mod limits;
mod proxies;
mod secret;

pub use access::Access;
pub(crate) use access::accepts_key_in_query;
pub use api_key::{ApiKey, Keys};
pub(crate) use authenticate::{authenticated, find_caller, limited};
pub(crate) use check_host::{API, UNCHECKED_PATH, check_host};
pub use cors::Origins;
pub(crate) use cors::permit_origins;
pub use hosts::Hosts;
pub(crate) use key_validity::KeyValidity;
pub use keys_file::{KeysFile, KeysFileError};
pub(crate) use limits::Limits;
pub(crate) use proxies::resolve_client;
pub use proxies::{InvalidNetwork, Network, TrustedProxies};
pub use secret::WeakSecret;
