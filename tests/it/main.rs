//! All integration tests, in one binary. Those that need a PostgreSQL have `postgres` or `migrations` in their names.

mod contract;
mod documents;
mod feed_postgres;
mod history_postgres;
mod http;
mod json_damage;
mod json_edits;
mod json_faults;
mod json_file;
mod json_kill;
mod json_refusals;
mod json_saves;
mod json_start;
mod migrations;
mod migrations_command;
mod migrations_failing;
mod migrations_indexes;
mod migrations_rights;
mod model;
mod postgres;
mod reading_postgres;
mod retention_postgres;
mod samples;
mod serve;
mod sqlx_cache;
mod support;
