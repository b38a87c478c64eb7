//! Random documents and searches: PostgreSQL and our own code must mean the same by them.

use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strom::Flow;
use strom::flow::Runtime;
use strom::repository::{Change, Containment, Filter, ListQuery, Precondition};
use strom::testkit::samples::{change, change_all, flow_with, numbers, stamp};
use tokio::runtime::Runtime as TokioRuntime;

use crate::support::postgres::Database;
use crate::support::{json, postgres};

/// JSON texts, of few distinct names and values so that they meet, in many spellings.
fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        Just(r#""a""#.to_owned()),
        Just(r#""\u0061\/\u00e9😀\u0001\"""#.to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text.replace('\0', "")).unwrap()),
        number(),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            vec((name(), inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "[01]",
        "-?0(\\.0{0,3}[01])?([eE][+-]?[0-9])?",
        "-?[1-9][0-9]{0,24}(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
    ]
}

/// The names that mean something, and a few that do not.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "",
        "running",
        "gst_state",
        "state",
        "block_health",
        "properties",
        "blocks",
        "elements",
        "links",
        "runtime_data",
        "computed_external_pads",
        "started_at",
        "ptp_info",
        "ntp_info",
        "clock_sync_status",
        "thread_priority_status",
        "auto_restart",
    ])
}

/// The first of equal names only: two of them are refused.
fn object(members: &[(&str, String)]) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in members.iter().enumerate() {
        if members[..index].iter().all(|(other, _)| other != name) {
            let separator = if text.len() > 1 { ", " } else { "" };
            write!(text, "{separator}\"{name}\": {value}").unwrap();
        }
    }
    text + "}"
}

fn flow(number: u32, members: &[(&str, String)]) -> Flow {
    let object = object(members);
    flow_with(number, "random", &object[1..object.len() - 1])
}

fn members() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    vec((name(), value()), 1..6)
}

fn check<T: std::fmt::Debug>(
    cases: u32,
    strategy: impl Strategy<Value = T>,
    test: impl Fn(T) -> Result<(), TestCaseError>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, test).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn postgres_stores_and_reads_every_accepted_document() {
    let runtime = TokioRuntime::new().unwrap();
    let database = runtime.block_on(Database::migrated());
    let repository = runtime.block_on(database.repository());
    let connection = tokio::sync::Mutex::new(runtime.block_on(database.connect()));
    check(300, members(), |members| {
        let flow = flow(1, &members);
        runtime.block_on(async {
            change(&*repository, Change::Put(flow.clone(), Precondition::Any), stamp(0)).await;
            let stored = repository.get(flow.id()).await.unwrap().unwrap();
            prop_assert_eq!(stored.item.canonical(Runtime::Kept).unwrap(), flow.canonical(Runtime::Kept).unwrap());
            prop_assert_eq!(stored.item.head(), flow.head());
            prop_assert_eq!(stored.item.document().get().len() as u64, flow.head().size, "as PostgreSQL prints it");
            let content: String = sqlx::query_scalar("SELECT strom_content(data)::TEXT FROM flows")
                .fetch_one(&mut *connection.lock().await)
                .await
                .unwrap();
            let content = Flow::parse(&content).unwrap();
            prop_assert_eq!(content.canonical(Runtime::Kept).unwrap(), flow.canonical(Runtime::Left).unwrap());
            Ok(())
        })
    });
}

#[test]
fn postgres_and_json_find_the_same_documents() {
    let runtime = TokioRuntime::new().unwrap();
    let (in_postgres, in_json) = runtime.block_on(async { (postgres::open().await, json::open().await) });
    check(40, (vec(members(), 12), vec(value(), 20)), |(documents, templates)| {
        runtime.block_on(async {
            let mut searches: Vec<String> = templates.iter().map(|value| format!("{{\"a\": {value}}}")).collect();
            // Parts of the documents, which are found more often than chance would have it.
            searches.extend(documents.iter().map(|members| object(&members[..1])));
            searches.extend(templates);
            for repository in [&*in_postgres, &*in_json] {
                let flows = documents.iter().zip(0..).map(|(members, number)| flow(number, members));
                let puts = flows.map(|flow| Change::Put(flow, Precondition::Any));
                change_all(&**repository, puts.collect(), stamp(0)).await;
            }
            for search in &searches {
                let filter = Filter { contains: Some(Containment::parse(search).unwrap()), ..Filter::default() };
                let query = ListQuery { filter, ..ListQuery::default() };
                let expected = numbers(&**in_postgres, &query).await;
                prop_assert_eq!(numbers(&**in_json, &query).await, expected, "{}", search);
            }
            Ok(())
        })
    });
}
