//! All integration tests of the server, in one binary. The names of tests that need PostgreSQL contain `postgres` or
//! `migrations`.

mod callers_postgres;
mod check_history;
mod check_postgres;
mod cli;
mod contract;
mod ephemeral;
mod group_commit_postgres;
mod http;
mod json_looking;
mod last_known;
mod measurements_postgres;
mod migrations_command;
mod monitoring;
mod outages_postgres;
mod places;
mod seed_recipe_postgres;
mod serve;
mod serve_access;
mod stalled_stderr;
mod stopping;
mod switch_history_postgres;
mod switch_postgres;
mod switch_program_postgres;
mod unreadable_postgres;
mod writers_postgres;
