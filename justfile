# Every command that a developer or CI runs. `just` alone lists them.

# CI builds without debug information and incremental state
profile := env("STROM_PROFILE", if env("CI", "") == "" { "dev" } else { "ci" })
target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
strom := target / (if profile == "dev" { "debug" } else { profile }) / "strom"
flags := "--locked --profile " + profile

_default:
    @just --list --unsorted

# Build everything: the library, the program, the tests, the examples and the benchmarks
build *args:
    cargo build {{ flags }} --workspace --all-targets {{ args }}

# Run the program: `just run`, `just run serve --port 9000`
run *args:
    cargo run --locked -- {{ args }}

# Check format, lints, documentation, shell scripts and the invariants of the architecture
check: forbid
    cargo fmt --all --check
    cargo clippy {{ flags }} --workspace --all-targets -- --deny warnings
    RUSTDOCFLAGS="--deny warnings" cargo doc {{ flags }} --no-deps --all-features --workspace
    shellcheck .ci/run migrations/dump-schema tests/throwaway-postgres tests/embedding tests/postgres-image/* tests/container packaging/maintainer-scripts/postinst server/tests/*/run

# Run all tests with cargo-nextest if it is installed, else with cargo: `just test`, `just test contract::postgres`
test *filters:
    #!/usr/bin/env bash
    set -euo pipefail
    if cargo nextest --version > /dev/null 2>&1; then
        # It starts a process per test, so the server starts here. STROM_TEST_POSTGRES_BIN is for tests that start their own.
        run='STROM_TEST_POSTGRES=url STROM_TEST_DATABASE_URL=$DATABASE_URL STROM_TEST_POSTGRES_BIN=${POSTGRES_BIN:-} exec "$@"'
        tests/throwaway-postgres ${STROM_TEST_POSTGRES:+--source "$STROM_TEST_POSTGRES"} sh -c "$run" sh \
            cargo nextest run --locked --cargo-profile {{ profile }} {{ filters }}
        if [[ -z '{{ filters }}' ]]; then cargo test {{ flags }} --doc; fi
    else
        cargo test {{ flags }} {{ filters }}
    fi

# Run all tests with the command of the README and testcontainers; without STROM_TEST_POSTGRES_IMAGE, on an image made here
test-docker:
    #!/usr/bin/env bash
    set -euo pipefail
    export STROM_TEST_POSTGRES=docker STROM_TEST_POSTGRES_IMAGE=${STROM_TEST_POSTGRES_IMAGE:-strom-test-postgres:15}
    if [[ $STROM_TEST_POSTGRES_IMAGE == strom-* ]]; then tests/postgres-image/make "$STROM_TEST_POSTGRES_IMAGE"; fi
    cargo test {{ flags }}

# Run the tests whose result depends on the version of PostgreSQL: `just test-postgres wheel` (18), `docker`, `14` if installed
test-postgres source:
    #!/usr/bin/env bash
    set -euo pipefail
    export STROM_TEST_POSTGRES={{ source }}
    if [[ -d /usr/lib/postgresql/{{ source }} ]]; then
        export STROM_TEST_POSTGRES=installed STROM_TEST_POSTGRES_BIN=/usr/lib/postgresql/{{ source }}/bin
    fi
    just test backup_postgres check_postgres contract::postgres damage_postgres direct_postgres documents:: feed_postgres guards_postgres history_postgres \
        migrations model::postgres name_parts_postgres notifications_postgres plans_postgres reading_postgres retention_postgres \
        standby_postgres timeline_postgres times_postgres tls_postgres writers_postgres

# The tests that need neither a database nor Docker
test-offline:
    cargo test {{ flags }} --lib --bins --examples
    cargo test {{ flags }} --doc
    cargo test {{ flags }} --test it -- --skip postgres --skip migrations

# The tests that go through pgbouncer: the installed one, or STROM_TEST_PGBOUNCER
test-pgbouncer *args:
    cargo test {{ flags }} --test it -- pgbouncer_postgres --include-ignored {{ args }}

# Run everything that CI runs, stop at the first failure, and print a table of durations
ci:
    #!/usr/bin/env bash
    set -euo pipefail
    export CI=true CARGO_TERM_COLOR=never RUST_BACKTRACE=0
    # The caller's settings must not decide what is tested.
    unset DATABASE_URL SQLX_OFFLINE "${!STROM_@}" "${!PG@}"
    steps=(build check misspelled minimum-rust embedding test-docker 'test-postgres wheel' test-pgbouncer 'schemathesis --examples 20' console
        container units 'siege 10000' 'chaos json --seconds 60' 'chaos postgres --seconds 60' 'failover --timing short --rounds 1 switchover' alerts deny prepare-check)
    if [[ -x /usr/lib/postgresql/14/bin/postgres ]]; then steps+=('test-postgres 14'); fi
    table=() current=''
    show_table() {
        local status=$?
        printf '\n=== durations\n'
        printf '%s\n' "${table[@]}" "$(printf '%5d s  total' "$SECONDS")"
        ((status == 0)) || echo "error: the step \`just $current\` failed" >&2
    }
    trap show_table EXIT
    for current in "${steps[@]}"; do
        begin=$SECONDS
        printf '\n=== just %s\n' "$current"
        # The build needs neither a database nor Docker.
        offline=()
        case $current in build | check | misspelled | embedding)
            offline=(DATABASE_URL=postgresql://127.0.0.1:1/none DOCKER_HOST=unix:///nonexistent) ;;
        esac
        read -ra words <<< "$current"
        env "${offline[@]}" just "${words[@]}"
        table+=("$(printf '%5d s  just %s' $((SECONDS - begin)) "$current")")
    done

# Prove that a misspelled column fails a build without a database
misspelled:
    #!/usr/bin/env bash
    set -euo pipefail
    copy={{ target }}/misspelled
    rm -rf "$copy" && mkdir -p "$copy"
    git ls-files -z -- '*.toml' '*.rs' Cargo.lock migrations .sqlx server/src | xargs -0 cp --parents -t "$copy"
    sed -i 's/SELECT id, name, state/SELECT id, nme, state/' "$copy/src/postgres/flows/get.rs"
    if cmp -s {src,"$copy/src"}/postgres/flows/get.rs; then echo 'error: there is no column to misspell' >&2 && exit 1; fi
    if (cd "$copy" && CARGO_TARGET_DIR={{ target }} cargo check {{ flags }} --workspace --all-targets) > "$copy/log" 2>&1; then
        echo 'error: the build accepts a misspelled column' >&2 && exit 1
    fi
    grep -m 1 'no cached data for this query\|to use query macros online' "$copy/log"

# Crash the JSON store at every call it makes to the disk, and kill its process a thousand times; about ten minutes
torture:
    STROM_FAULTS=all STROM_KILL_ROUNDS=1000 cargo test {{ flags }} --test it -- json_faults json_kill

# Cut, block and slow down the connections to PostgreSQL at random under load, for five minutes
outages seconds="300":
    STROM_OUTAGE_SECONDS={{ seconds }} cargo test {{ flags }} --test it -- no_series_of_faults --nocapture

# Compare the program with its OpenAPI document with schemathesis, on both backends: `just schemathesis [--examples N]`
schemathesis *args: build
    tests/throwaway-postgres server/tests/schemathesis/run {{ args }} {{ strom }}

# Test the console in a headless Chromium, over both backends: `just console [--screenshots]`, `just console -k import`
console *args: build
    tests/throwaway-postgres server/tests/console/run {{ if args =~ '--screenshots' { '--screenshots' } else { '' } }} {{ strom }} {{ replace(args, '--screenshots', '') }}

# Open a thousand streams of changes on the real program, over PostgreSQL and a file, and print delays and costs
streams *args:
    cargo test {{ flags }} -p strom-server --test it -- a_thousand_streams --ignored --nocapture --test-threads 1 {{ args }}

# Check the queries against a throw-away PostgreSQL; write .sqlx and migrations/schema.sql
prepare: _sqlx-cli
    rm -f .sqlx/query-*.json
    tests/throwaway-postgres sh -c 'export STROM_PREPARE_DATABASE_URL=$DATABASE_URL; \
        cargo sqlx migrate run && cargo sqlx prepare -- {{ flags }} -p strom-store --lib --all-features && migrations/dump-schema'

# Fail if `just prepare` changes anything
prepare-check: prepare
    git diff --exit-code -- .sqlx migrations/schema.sql
    test -z "$(git status --porcelain -- .sqlx)"

# A tool that runs for a second is compiled without optimisation: a minute less on a fresh machine
_sqlx-cli:
    @cargo sqlx --version | grep -qF 0.9.0 || \
        cargo install sqlx-cli --version 0.9.0 --locked --debug --no-default-features --features postgres,rustls,sqlx-toml

# Measure: `just bench outside` (next to a plain service), `just bench growth` (disk usage), `just bench functions`, `just bench limits [json postgres lists http start outage]`
bench what="limits" *args:
    tests/throwaway-postgres --durable cargo bench --locked --bench {{ what }} -- {{ args }}

# The same, as docs/performance.md shows it
figures:
    tests/throwaway-postgres --durable cargo bench --locked --bench limits -- --chart docs/images/growth.svg

# Attack a server that stores 100,000 flows: `just siege [FLOWS]`; some minutes
siege *args:
    tests/throwaway-postgres cargo bench --locked {{ if profile == "dev" { "" } else { "--profile " + profile } }} --bench siege -- {{ args }}

# Run the program while what surrounds it fails, and audit every change: `just chaos json [--seconds N]`, `just chaos postgres`
chaos store *args: build
    {{ if store == "postgres" { "tests/throwaway-postgres --source installed --durable" } else { "" } }} python3 -B server/tests/chaos/{{ store }}_store.py {{ strom }} {{ args }}

# Fail over under load, with Patroni: `just failover [--timing short] [--rounds N] [kill|freeze|lag|switchover|kill-async|lag-async]`
failover *args:
    cargo build --locked {{ if profile == "dev" { "--release" } else { "--workspace --all-targets --profile " + profile } }}
    python3 -B server/tests/patroni/failover.py --strom {{ if profile == "dev" { target / "release/strom" } else { strom } }} {{ args }}

# Build the image of the Dockerfile with the compiled program, and test it and compose.yaml; requires Docker and docker-compose
container: build
    tests/container {{ strom }}

# Build a Debian package: the program, its units, manual pages and completions
deb:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo deb --version > /dev/null || cargo install cargo-deb --version 3.8.0 --locked --debug
    profile={{ if profile == "dev" { "release" } else { profile } }}
    cargo build --locked --profile "$profile" -p strom-server
    program={{ target }}/$profile/strom
    pages={{ justfile_directory() }}/target/deb
    rm -rf "$pages" && mkdir -p "$pages/man"
    "$program" man --dir "$pages/man"
    for shell in bash zsh fish; do "$program" completions "$shell" > "$pages/strom.$shell"; done
    cargo deb --locked --no-build --profile "$profile" -p strom-server

# Print the notes of a release, its section of CHANGELOG.md: `just release-notes 0.1.0`
release-notes version:
    #!/usr/bin/env bash
    set -euo pipefail
    notes=$(awk -v title='## {{ version }}' 'index($0, "## ") == 1 { found = index($0 " ", title " ") == 1; next } found' CHANGELOG.md)
    if [[ -z $notes ]]; then echo 'error: CHANGELOG.md has no section {{ version }}' >&2 && exit 1; fi
    echo "$notes"

# Write the software bill of materials of the program (CycloneDX) to dist/
sbom:
    @cargo cyclonedx --version > /dev/null || cargo install cargo-cyclonedx --version 0.5.9 --locked --debug
    cargo cyclonedx --format json --manifest-path server/Cargo.toml --override-filename strom.cdx
    mkdir -p dist && mv server/strom.cdx.json dist/
    # It also writes one for every other member of the workspace.
    find . -name strom.cdx.json -not -path './target/*' -not -path './dist/*' -delete

# Check the systemd units; requires systemd
units:
    #!/usr/bin/env bash
    set -euo pipefail
    # The program need not be installed.
    units=$(mktemp -d) && trap 'rm -rf "$units"' EXIT
    cp packaging/strom.{service,socket} "$units"
    sed -i 's|^ExecStart=/usr/bin/strom|ExecStart=/bin/true|' "$units/strom.service"
    systemd-analyze verify "$units"/strom.{service,socket}

# Licences, sources and duplicate versions of the dependencies (advisories too, if the network allows: `just deny advisories`)
deny *checks="bans licenses sources":
    @cargo deny --version > /dev/null || cargo install cargo-deny --version 0.20.2 --locked --debug
    cargo deny --all-features check {{ checks }}

# Check the alerting rules and run their tests; promtool comes with Prometheus (Debian: the package `prometheus`)
alerts:
    promtool check rules monitoring/alerts.yml
    promtool test rules monitoring/alerts-test.yml

# Check that the sources compile with the declared minimum version of Rust
minimum-rust:
    #!/usr/bin/env bash
    set -euo pipefail
    minimum=$(sed -nE 's/^rust-version = "([^"]+)".*/\1/p' Cargo.toml)
    if [[ $(rustc --version) == "rustc $minimum "* ]]; then
        echo "Rust $minimum, the declared minimum, is the default toolchain: just build has used it"
    else
        cargo "+$minimum" check {{ flags }} --workspace --all-targets
    fi

# Check the invariants of ARCHITECTURE.md that neither a lint nor the crates enforce
forbid: import-cycles
    #!/usr/bin/env bash
    set -euo pipefail
    # forbid WHAT PATTERN ALLOWED-FILES: no line of src outside the allowed files matches, except comments.
    forbid() {
        if grep -rnE "$2" src server/src --include='*.rs' | grep -vE "^($3)" | grep -vE '^[^:]+:[0-9]+: *//'; then
            echo "error: $1" >&2
            exit 1
        fi
    }
    forbid 'sqlx belongs in src/postgres' '\bsqlx::' 'src/postgres/'
    forbid 'axum belongs in server/src/http' '\baxum::' 'server/src/http/'
    forbid 'clap belongs in server/src/cli and server/src/config' '\bclap::' 'server/src/(cli|config)/'
    forbid 'routes are registered with their OpenAPI description: routes!' '\.route\(' 'none'
    forbid 'the clock and new ids belong in one file per crate' '(Utc|Local|SystemTime)::now|Uuid::(new_v4|now_v7)' 'server/src/clock.rs|src/last_known/view.rs'
    forbid 'both backends are named in src/storage.rs only' 'JsonRepository|PostgresRepository' 'src/(storage|lib|internals).rs|src/json/|src/postgres/|src/testkit/'
    forbid 'decorators are ordered in server/src/stack.rs only' '(Ephemeral::over|Metrics::of|\.observed)\(' 'server/src/stack.rs|src/ephemeral/|src/testkit/'
    # A repair runs statements of migrations/schema.sql, which macros cannot check.
    forbid 'SQL is checked by macros: query!, query_as!, query_scalar!' 'sqlx::(query|query_as|query_scalar|raw_sql)(::<|\()|AssertSqlSafe' 'src/postgres/schema/repair.rs'
    forbid 'unfinished work' '\b(todo|dbg|unimplemented)!' 'none'

# Count idioms that plain English avoids (ARCHITECTURE.md, "Text"); it gates nothing
prose:
    #!/usr/bin/env bash
    set -euo pipefail
    total=0
    while read -r pattern; do
        count=$({ git grep -ohwiE "$pattern" -- src server tests benches examples docs monitoring '*.md' \
            ':!server/src/http/console/page/vendor' || true; } | wc -l)
        printf '%5d  %s\n' "$count" "$pattern"
        total=$((total + count))
    done <<'PATTERNS'
    told|tells|telling
    somebody|nobody|everybody|anybody
    whoever|those who|he who|one who
    beside|besides
    anew
    meanwhile
    is none|are none
    so many|so long|as many as
    he|him|his
    lets go of|let go of|takes in|takes over|gives up|goes on|begins again
    stands in|stands behind|stands beside
    PATTERNS
    printf '%5d  total\n' "$total"

# Report import cycles between the files of each crate
import-cycles:
    .ci/import-cycles src/lib.rs server/src/lib.rs server/src/main.rs tests/support/src/lib.rs examples/third_backend/src/lib.rs

# Prove that another crate can embed the store without the dependencies of the server
embedding:
    tests/embedding
