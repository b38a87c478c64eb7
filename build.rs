//! Compiles the library again when a migration or the metadata of a query changes: the macros of sqlx cannot say so
//! themselves. No environment variable has this effect; `sqlx.toml` names the only one that the macros read.
//! <https://docs.rs/sqlx/0.9.0/sqlx/macro.migrate.html#triggering-recompilation-on-migration-changes>

fn main() {
    for path in ["build.rs", "migrations", ".sqlx"] {
        println!("cargo::rerun-if-changed={path}");
    }
}
