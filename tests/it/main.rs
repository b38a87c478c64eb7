//! All integration tests, as one program.

mod migrations;
mod postgres;
mod sqlx_cache;
mod support;
