//! Random documents and searches. PostgreSQL and the JSON backend must agree on them.

use std::fmt::Write;

use futures::{StreamExt, TryStreamExt, stream};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strom_store::flow::Runtime;
use strom_store::internals::orders::{SORTS, sort};
use strom_store::internals::samples::{change, change_all, flow_with, id, number as number_of, numbers, stamp};
use strom_store::repository::{Change, Containment, Filter, ListQuery, NamePart, Precondition, Version};
use strom_store::{Flow, FlowRepository, GstState};
use tokio::runtime::Runtime as TokioRuntime;

use crate::model::cases;
use strom_test_support::postgres::Database;
use strom_test_support::{json, postgres};

/// The number of concurrent searches. A search mostly waits for other processes, and the pool has five connections.
const AT_ONCE: usize = 4;

/// JSON texts in many spellings. They use few distinct names and values, so that searches match.
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

/// The member names with a meaning, and a few others.
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

/// Writes an object with the first of equal names only, because duplicate names are rejected.
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
    check(cases(300), members(), |members| {
        let flow = flow(1, &members);
        runtime.block_on(async {
            change(&*repository, Change::Put(flow.clone(), Precondition::Any), stamp(0)).await;
            let stored = repository.get(flow.id()).await.unwrap().unwrap();
            prop_assert_eq!(
                stored.item.canonical(Runtime::Include).unwrap(),
                flow.canonical(Runtime::Include).unwrap()
            );
            prop_assert_eq!(stored.item.head(), flow.head());
            prop_assert_eq!(
                stored.item.document().get().len() as u64,
                flow.head().size,
                "the size is that of the text that PostgreSQL prints"
            );
            let content: String = sqlx::query_scalar("SELECT strom_content(data)::TEXT FROM flows")
                .fetch_one(&mut *connection.lock().await)
                .await
                .unwrap();
            let content = Flow::parse(&content).unwrap();
            prop_assert_eq!(content.canonical(Runtime::Include).unwrap(), flow.canonical(Runtime::Exclude).unwrap());
            Ok(())
        })
    });
}

#[test]
fn postgres_and_json_find_the_same_documents() {
    let runtime = TokioRuntime::new().unwrap();
    let (in_postgres, in_json) = runtime.block_on(async { (postgres::open().await, json::open().await) });
    check(cases(24), (vec(members(), 12), vec(value(), 20)), |(documents, templates)| {
        runtime.block_on(async {
            let mut searches: Vec<String> = templates.iter().map(|value| format!("{{\"a\": {value}}}")).collect();
            // Parts of the documents, because random templates rarely match.
            searches.extend(documents.iter().map(|members| object(&members[..1])));
            searches.extend(templates);
            for repository in [&*in_postgres, &*in_json] {
                let flows = documents.iter().zip(0..).map(|(members, number)| flow(number, members));
                let puts = flows.map(|flow| Change::Put(flow, Precondition::Any));
                change_all(&**repository, puts.collect(), stamp(0)).await;
            }
            let searches = stream::iter(&searches).map(Ok);
            let searching = searches.try_for_each_concurrent(AT_ONCE, async |search| {
                let filter = Filter { contains: Some(Containment::parse(search).unwrap()), ..Filter::default() };
                let query = ListQuery { filter, ..ListQuery::default() };
                let expected = numbers(&**in_postgres, &query).await;
                prop_assert_eq!(numbers(&**in_json, &query).await, expected, "{}", search);
                Ok(())
            });
            searching.await
        })
    });
}

/// Names and parts of names: characters that are special in LIKE, and letters with two cases, with one case, or whose
/// length depends on the case.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "a", "A", "b", "%", "_", "\\", "\\%", "\\_", "ä", "Ä", "ß", "ẞ", "İ", "ı", "Σ", "σ", "ς", "Ж", "ж", "😀", "'", "\"", " ",
            "e\u{301}", "ǅ", "ﬁ", "\u{200d}", "*", "?", "[", "]", "^", "$", ".",
        ])
        .prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.to_string().replace('\0', "0")),
    ];
    vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// A flow with random values for name, state and automatic restart, and the time at which it is stored.
#[derive(Debug, Clone)]
struct Sample {
    name: String,
    state: Option<&'static str>,
    auto_restart: Option<bool>,
    members: Vec<(&'static str, String)>,
    at: i64,
}

fn sample() -> impl Strategy<Value = Sample> {
    let state = prop::sample::select(vec!["\"Null\"", "\"Ready\"", "\"Paused\"", "\"Playing\"", "null", "7"]);
    let other = members().prop_map(|members| {
        members.into_iter().filter(|(name, _)| !["gst_state", "properties"].contains(name)).collect::<Vec<_>>()
    });
    let parts = (text(), prop::option::of(state), prop::option::of(any::<bool>()), other, 0..3_i64);
    parts.prop_map(|(name, state, auto_restart, members, at)| Sample {
        name: format!("x{name}"),
        state,
        auto_restart,
        members,
        at,
    })
}

impl Sample {
    fn flow(&self, number: u32) -> Flow {
        let mut members = self.members.clone();
        members.extend(self.state.map(|state| ("gst_state", state.to_owned())));
        members.extend(self.auto_restart.map(|value| ("properties", format!("{{\"auto_restart\":{value}}}"))));
        let object = object(&members);
        flow_with(number, &self.name, &object[1..object.len() - 1])
    }
}

#[derive(Debug, Clone)]
struct Search {
    state: Option<GstState>,
    auto_restart: Option<bool>,
    name: Option<String>,
    contains: Option<String>,
    /// The template is the first members of this sample instead: its index and the number of members.
    part_of: Option<(usize, usize)>,
    sort: usize,
    limit: Option<u32>,
}

fn search() -> impl Strategy<Value = Search> {
    let state = prop::sample::select(vec![GstState::Null, GstState::Ready, GstState::Paused, GstState::Playing]);
    let sometimes = |strategy| prop::option::weighted(0.25, strategy);
    (
        prop::option::weighted(0.25, state),
        prop::option::weighted(0.25, any::<bool>()),
        sometimes(text().boxed()),
        sometimes(prop_oneof![value(), number().prop_map(|number| format!("{{\"a\":{number}}}"))].boxed()),
        prop::option::weighted(0.25, (0..SAMPLES, 0..3_usize)),
        0..SORTS.len(),
        prop::option::weighted(0.75, 1..6_u32),
    )
        .prop_map(|(state, auto_restart, name, contains, part_of, sort, limit)| Search {
            state,
            auto_restart,
            name,
            contains,
            part_of,
            sort,
            limit,
        })
}

impl Search {
    fn query(&self, samples: &[Sample]) -> ListQuery {
        let part = self.part_of.map(|(sample, length)| {
            let members = &samples[sample].members;
            object(&members[..length.min(members.len())])
        });
        let contains = part.as_ref().or(self.contains.as_ref()).map(|text| Containment::parse(text).unwrap());
        let filter = Filter {
            state: self.state,
            auto_restart: self.auto_restart,
            name: self.name.as_ref().map(|name| NamePart::parse(name).unwrap()),
            contains,
        };
        ListQuery { filter, sort: sort(SORTS[self.sort]), limit: self.limit, after: None, count: true }
    }
}

type Pages = Vec<(Vec<(u32, Version)>, Option<u64>)>;

async fn pages(repository: &dyn FlowRepository, mut query: ListQuery) -> Pages {
    let mut pages = Vec::new();
    loop {
        let page = repository.summaries(&query).await.unwrap();
        let items = page.items.into_iter().map(|stored| (number_of(stored.item.id), stored.version));
        pages.push((items.collect(), page.total));
        query.after = page.next;
        if query.after.is_none() {
            return pages;
        }
    }
}

const SAMPLES: usize = 12;

#[test]
fn postgres_and_json_return_the_same_pages() {
    let runtime = TokioRuntime::new().unwrap();
    let (in_postgres, in_json) = runtime.block_on(async { (postgres::open().await, json::open().await) });
    check(cases(24), (vec(sample(), SAMPLES), vec(search(), 25)), |(samples, searches)| {
        runtime.block_on(async {
            for repository in [&*in_postgres, &*in_json] {
                // Deletes and creates the flows, so that the times of creation belong to this case.
                let delete = |number| Change::Delete(id(number), Precondition::Any);
                change_all(&**repository, (0..SAMPLES as u32).map(delete).collect(), stamp(0)).await;
                let at = |at: i64| samples.iter().zip(0..).filter(move |(sample, _)| sample.at == at);
                for time in 0..3 {
                    let created = at(time).map(|(sample, number)| Change::create(sample.flow(number)));
                    change_all(&**repository, created.collect(), stamp(time)).await;
                }
                for time in 0..3 {
                    let edited = at(time).filter(|(_, number)| number % 3 == 0).map(|(sample, number)| {
                        let edited = Sample { members: Vec::new(), ..sample.clone() };
                        Change::Put(edited.flow(number), Precondition::Any)
                    });
                    change_all(&**repository, edited.collect(), stamp(3 - time)).await;
                }
            }
            let searches = stream::iter(&searches).map(Ok);
            let searching = searches.try_for_each_concurrent(AT_ONCE, async |search| {
                let query = search.query(&samples);
                let expected = pages(&**in_postgres, query.clone()).await;
                prop_assert_eq!(pages(&**in_json, query).await, expected, "{:?}", search);
                Ok(())
            });
            searching.await
        })
    });
}
