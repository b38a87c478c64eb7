//! The OpenAPI document (<https://spec.openapis.org/oas/v3.1.0>), assembled from the descriptions of the routes.
//!
//! | file | content |
//! |---|---|
//! | `document` | assembles the document |
//! | `share` | moves parameters into components |
//! | `route` | the route that returns it |
//! | `swagger_ui` | the page that shows it |
//!
//! Only `router` imports this folder. Each handler has its description as an annotation, so the document contains every route.
//! `extract::parameters` and `respond::description` contain what several annotations share. This folder adds the effects of the
//! layers to every operation.
//!
//! The document and the page need no key: they describe the program and reveal nothing of the flows. A client without a key learns
//! from them how to send one.
//!
//! The document promises no more than the server guarantees: the store keeps unknown members of a flow, so a member may have any
//! shape. Schemas contain the usual shape as an alternative to "anything". The schema of NDJSON is an array of its lines, as in
//! OpenAPI 3.2.

mod document;
pub(crate) mod route;
mod share;
pub(crate) mod swagger_ui;

pub(crate) use document::document;
pub(crate) use share::share_parameters;
