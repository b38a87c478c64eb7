//! The dashboard, the alerting rules and docs/monitoring.md use only metrics that the server exports.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value;
use sqlx::Connection;
use strom_server::clock;
use strom_server::http::{Access, router};
use strom_server::stack::Stack;
use strom_store::FlowRepository;
use strom_store::internals::samples::{change, create_all, flow, stamp};
use tower::ServiceExt;

use strom_test_support::eventually::eventually;
use strom_test_support::exposition::Exposition;
use strom_test_support::postgres::{Database, count, run};
use strom_test_support::{json, postgres};

fn file(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the metrics of a server on this repository after some requests.
async fn shown(repository: Arc<dyn FlowRepository>) -> Exposition {
    let routes = router(Stack::over(repository).ephemeral(clock::now()), Access::Anonymous);
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let body = routes.clone().oneshot(request).await.unwrap().into_body();
        String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
    };
    get("/api/flows").await;
    let mut shown = Exposition::default();
    // If the storage takes longer than one second, the response lacks its metrics.
    eventually("the storage returns its metrics in time", async || {
        shown = Exposition::parse(&get("/metrics").await);
        shown.get("strom_storage_state_seconds").and(shown.get("strom_feed_lag_seconds")).is_some()
    })
    .await;
    shown
}

/// Returns the metrics of JSON and of PostgreSQL.
async fn all() -> (Exposition, Exposition) {
    (shown(json::open().await.clone()).await, shown(postgres::open().await.clone()).await)
}

/// Returns the names of the metrics in a text.
fn names_in(text: &str) -> BTreeSet<&str> {
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    text.split(|letter| !is_name(letter)).filter(|word| word.starts_with("strom_")).collect()
}

/// Returns the label matchers of the metrics in a text: `{job="strom", outcome=~"a|b"}` after a name.
fn matchers_in(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    for (position, _) in text.match_indices("strom_") {
        let rest = text[position..].trim_start_matches(|letter: char| letter.is_ascii_lowercase() || letter == '_');
        let Some((matchers, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { continue };
        for matcher in matchers.split(',') {
            let (name, value) = matcher.split_once('=').unwrap_or_else(|| panic!("no matcher: {matcher}"));
            let value = value.trim_start_matches('~').trim_matches('"');
            found.push((name.trim().trim_end_matches('!'), value.split('|').collect()));
        }
    }
    found
}

/// Returns the PromQL expressions of the dashboard.
fn expressions(dashboard: &Value) -> Vec<&str> {
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    targets.flatten().map(|target| target["expr"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn dashboard_and_rules_use_only_metrics_of_postgres_and_json() {
    let (json, postgres) = all().await;
    let names: BTreeSet<_> = json.names().union(&postgres.names()).copied().collect();
    let mut labels: BTreeSet<_> = json.labels().union(&postgres.labels()).copied().collect();
    let dashboard: Value = serde_json::from_str(&file("monitoring/grafana-dashboard.json")).unwrap();
    let (rules, tests) = (file("monitoring/alerts.yml"), file("monitoring/alerts-test.yml"));
    let of_dashboard = expressions(&dashboard).join("\n");
    // Labels that Prometheus adds to a target, and labels that only the tests of the rules use.
    labels.extend([("job", "strom"), ("job", "$job"), ("instance", "$instance")]);
    labels.extend(["a:8080", "b:8080", "c:8080"].map(|instance| ("instance", instance)));
    // Label values that the requests of this test do not produce.
    labels.extend(["5..", "500", "501", "503"].map(|status| ("status", status)));
    labels.extend([("route", "/api/flows/{id"), ("method", "POST")]);
    for (source, text, least) in [("dashboard", &of_dashboard, 20), ("rules", &rules, 10), ("their tests", &tests, 10)]
    {
        let used = names_in(text);
        assert!(used.len() >= least, "{source}: {used:?}");
        let unknown: Vec<_> = used.iter().filter(|name| !names.contains(*name)).collect();
        assert!(unknown.is_empty(), "{source}: no backend exports {unknown:?}");
        for (label, values) in matchers_in(text) {
            for value in values {
                assert!(labels.contains(&(label, value)), "{source}: no backend exports {label}=\"{value}\"");
            }
        }
    }
    let families = json.families.keys().chain(postgres.families.keys());
    let missing = families.filter(|name| !of_dashboard.contains(name.as_str()));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new(), "no panel shows these metrics");
}

#[test]
fn every_panel_has_a_unit_a_description_and_a_selectable_data_source() {
    let dashboard: Value = serde_json::from_str(&file("monitoring/grafana-dashboard.json")).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id occurs twice: {panel}");
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
        }
    }
}

#[test]
fn every_alert_is_documented_and_tested() {
    let (rules, tests, docs) =
        (file("monitoring/alerts.yml"), file("monitoring/alerts-test.yml"), file("docs/monitoring.md"));
    let mut alerts: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10);
    for alert in alerts.drain(..) {
        let name = alert.lines().next().unwrap();
        for part in ["severity:", "summary:", "description:"] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        assert!(docs.contains(&format!("| `{name}` |")), "{name} is not in docs/monitoring.md");
        assert!(tests.contains(name), "{name} is not in alerts-test.yml");
    }
    let documented = docs.lines().filter_map(|line| line.strip_prefix("| `Strom")?.split_once('`'));
    for (name, _) in documented {
        assert!(
            rules.contains(&format!("- alert: Strom{name}\n")),
            "docs/monitoring.md has an unknown alert: Strom{name}"
        );
    }
}

#[tokio::test]
async fn documentation_lists_exactly_the_metrics_of_postgres_and_json() {
    let (json, postgres) = all().await;
    let shown: BTreeSet<_> = json.families.keys().chain(postgres.families.keys()).map(String::as_str).collect();
    let docs = file("docs/monitoring.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `strom_").map(|_| &line["| `".len()..]));
    let documented: BTreeSet<_> = rows.filter_map(|row| Some(row.split_once('`')?.0)).collect();
    assert_eq!(documented, shown);
    for (name, _) in json.labels().union(&postgres.labels()).filter(|(name, _)| *name != "le") {
        assert!(docs.contains(&format!("`{name}`")), "the label {name} is not documented");
    }
    for value in json
        .labels()
        .union(&postgres.labels())
        .filter(|(name, _)| ["kind", "operation", "outcome", "state", "topic"].contains(name))
    {
        assert!(docs.contains(&format!("`{}`", value.1)), "{value:?} is not documented");
    }
}

#[tokio::test]
async fn every_documented_statement_runs_on_postgres() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    change(&*repository, strom_store::repository::Change::delete(flow(1, "a").id()), stamp(1)).await;
    let docs = file("docs/monitoring.md");
    let blocks: Vec<_> =
        docs.split("```sql\n").skip(1).map(|block| block.split_once("```").expect("the block has an end").0).collect();
    assert!(blocks.len() >= 12, "{}", blocks.len());
    let mut psql = database.connect().await;
    let available = "SELECT COUNT(*) FROM pg_available_extensions WHERE name = 'pgstattuple'";
    let has_pgstattuple = count(&mut psql, available).await == 1;
    if has_pgstattuple {
        run(&mut psql, "CREATE EXTENSION pgstattuple").await;
    }
    for block in blocks {
        if block.starts_with("-- needs the extension pgstattuple") && !has_pgstattuple {
            eprintln!("skipped, because this server has no pgstattuple:\n{block}");
            continue;
        }
        run(&mut psql, block).await;
    }
    psql.close().await.unwrap();
}
