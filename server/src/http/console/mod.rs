//! The console: a web page for operators and editors.
//!
//! | file | content |
//! |---|---|
//! | `page/` | the files that the browser runs, without a build step |
//! | `files` | the response with a file |
//! | `routes` | the routes of the files |
//!
//! The page sends requests only to this server; its content security policy enforces it. The files need no key: they contain no
//! flows, and a user without a key must see where to enter one.
//!
//! The view and its parameters are in the fragment of the URL, which browsers do not send. So one route serves all views. Folders
//! contain no folders, because an OpenAPI parameter cannot stand for several path segments.

mod files;
pub(crate) mod routes;
