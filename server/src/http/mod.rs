//! The HTTP server over a repository.
//!
//! | folder or file | content |
//! |---|---|
//! | `router` | all routes and the layers around them |
//! | `routes` | one file per resource; `routes/flows/put.rs` handles `PUT /api/flows/{id}` |
//! | `extract` | parses requests: ids, bodies, query parameters, preconditions |
//! | `storage` | calls the repository; `storage/apply.rs` applies a change under its precondition |
//! | `respond` | responses; `respond/problem` maps every error to a status code |
//! | `feed` | the change feed: server-sent events, WebSockets, long polling |
//! | `guard` | keys, rate limits and host names |
//! | `observe` | logs, metrics and request ids |
//! | `openapi` | assembles the OpenAPI document; Swagger UI. Only `router` imports it. |
//! | `console` | the web page for operators and editors |
//! | `unreadable` | the flows that exports omit, for `/ready` |
//! | `server` | the listening socket and its connections |
//! | `app`, `settings` | the state that routes share; the settings of a server |
//!
//! The server answers other origins only if they are listed (`--cors-origins`), does not accept bodies without a JSON type, and never
//! reports what a storage said when it failed.

mod app;
mod console;
mod extract;
mod feed;
mod guard;
mod observe;
mod openapi;
mod respond;
mod router;
mod routes;
mod server;
mod settings;
mod storage;
mod unreadable;

pub use feed::Streams;
pub use guard::{
    Access, ApiKey, Hosts, InvalidNetwork, Keys, KeysFile, KeysFileError, Network, Origins, TrustedProxies, WeakSecret,
};
pub use respond::{DeletedFlow, HistoryEntry, Summary, Trash};
pub use router::{openapi, router, router_with};
pub use server::{GRACE, serve};
pub use settings::Settings;
