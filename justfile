# Every command that a person or CI runs. `just` alone lists them.

_default:
    @just --list --unsorted

# Build the library and the program
build *args:
    cargo build --locked {{ args }}

# Run the program: `just run`, `just run serve --port 9000`
run *args:
    cargo run --locked -- {{ args }}

# Format, clippy, docs and the invariants of the architecture
check: forbid
    cargo fmt --check
    cargo clippy --locked --all-targets --all-features -- --deny warnings
    RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --all-features

# All tests; they find or fetch their PostgreSQL (tests/it/support/postgres.rs)
test *args:
    cargo test --locked {{ args }}

# The tests that need neither a database nor Docker
test-offline:
    cargo test --locked --lib --bins --examples
    cargo run --locked --quiet --example embed
    cargo test --locked --doc
    cargo test --locked --test it -- --skip postgres --skip migrations

# Crash the JSON store at every call it makes to the disk, and kill its process a thousand times; about ten minutes
torture:
    STROM_FAULTS=all STROM_KILL_ROUNDS=1000 cargo test --locked --test it -- json_faults json_kill

# The tests that go through pgbouncer: the installed one, or STROM_TEST_PGBOUNCER
test-pgbouncer *args:
    cargo test --locked --test it -- pgbouncer_postgres --include-ignored {{ args }}

# Cut, block and slow down the connections to PostgreSQL at random under load, for five minutes
outages seconds="300":
    STROM_OUTAGE_SECONDS={{ seconds }} cargo test --locked --test it -- no_series_of_faults --nocapture

# Hold the program to its OpenAPI document with schemathesis, on both backends: `just schemathesis [--examples N]`
schemathesis *args:
    cargo build --locked
    tests/throwaway-postgres tests/schemathesis/run {{ args }} target/debug/strom

# Try the console in a headless Chromium, over both backends: `just console [--screenshots]`, `just console -k import`
console *args:
    cargo build --locked
    tests/throwaway-postgres tests/console/run {{ if args =~ '--screenshots' { '--screenshots' } else { '' } }} target/debug/strom {{ replace(args, '--screenshots', '') }}

# A thousand streams of changes on the real program, over PostgreSQL and a file: how late they are, what they cost
streams *args:
    cargo test --locked --test it -- a_thousand_streams --ignored --nocapture --test-threads 1 {{ args }}

# Check the queries against a throw-away PostgreSQL and write .sqlx
prepare: _sqlx-cli
    rm -f .sqlx/query-*.json
    tests/throwaway-postgres sh -c 'cargo sqlx migrate run && cargo sqlx prepare -- --all-targets --all-features'

# Fail when `just prepare` would change anything
prepare-check: prepare
    git diff --exit-code -- .sqlx
    test -z "$(git status --porcelain -- .sqlx)"

_sqlx-cli:
    @cargo sqlx --version | grep -qF 0.9.0 || \
        cargo install sqlx-cli --version 0.9.0 --locked --no-default-features --features postgres,rustls

# Measure: `just bench functions`, or whole operations in turns with their floors, `just bench limits [json postgres lists http start]`
bench what="limits" *args:
    tests/throwaway-postgres --durable cargo bench --locked --bench {{ what }} -- {{ args }}

# The same, as docs/performance.md shows it
figures:
    tests/throwaway-postgres --durable cargo bench --locked --bench limits -- --chart docs/images/growth.svg

# What clients can do to a server, with 100,000 flows in the storage: `just siege [FLOWS]`; some minutes
siege *args:
    tests/throwaway-postgres cargo bench --locked --bench siege -- {{ args }}

# A failover under load, with Patroni: `just failover [--timing short] [--rounds N] [kill|freeze|lag|switchover|kill-async|lag-async]`
failover *args:
    cargo build --locked --release
    python3 -B tests/patroni/failover.py --strom target/release/strom {{ args }}

# Licences, sources and doubled versions of the dependencies (advisories too, where the network allows: `just deny advisories`)
deny *checks="bans licenses sources":
    @cargo deny --version > /dev/null || cargo install cargo-deny --version 0.20.2 --locked
    cargo deny --all-features check {{ checks }}

# Check the alerting rules and run their tests; promtool comes with Prometheus (Debian: the package `prometheus`)
alerts:
    promtool check rules monitoring/alerts.yml
    promtool test rules monitoring/alerts-test.yml

# The invariants of ARCHITECTURE.md that no lint knows
forbid:
    #!/usr/bin/env bash
    set -euo pipefail
    # forbid WHAT PATTERN ALLOWED-FILES: no line of src outside the allowed files matches, comments left aside.
    forbid() {
        if grep -rnE "$2" src --include='*.rs' | grep -vE "^($3)" | grep -vE '^[^:]+:[0-9]+: *//'; then
            echo "error: $1" >&2
            exit 1
        fi
    }
    forbid 'sqlx belongs in src/postgres' '\bsqlx::' 'src/postgres/'
    forbid 'axum belongs in src/http' '\baxum::' 'src/http/'
    forbid 'clap belongs in src/cli and src/config.rs' '\bclap::' 'src/cli/|src/config'
    forbid 'routes are registered with what the OpenAPI document says of them: routes!' '\.route\(' 'none'
    forbid 'the clock and new ids belong in src/clock.rs' '(Utc|Local|SystemTime)::now|Uuid::(new_v4|now_v7)' 'src/clock.rs'
    forbid 'both backends are named in src/storage.rs only' 'JsonRepository|PostgresRepository' 'src/(storage|lib).rs|src/json/|src/postgres/|src/testkit/'
    forbid 'SQL is checked by macros: query!, query_as!, query_scalar!' 'sqlx::(query|query_as|query_scalar|raw_sql)(::<|\()|AssertSqlSafe' 'none'
    forbid 'unfinished work' '\b(todo|dbg|unimplemented)!' 'none'
