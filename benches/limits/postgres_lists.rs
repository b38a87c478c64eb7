//! Pages of lists for several database sizes. Their limit is the time that a user does not notice.

use strom_store::FlowRepository;
use strom_store::repository::{Containment, Filter, ListQuery, NamePart};

use crate::Arguments;
use crate::load::{in_turns, timed};
use crate::pgbench::{Length, Script};
use crate::postgres::Server;
use crate::report::{Report, Row, Samples};

const PAGES: usize = 101;
const PAGE: u32 = 50;

pub(crate) async fn measure(server: &Server, arguments: &Arguments, report: &mut Report) {
    for flows in [100, 1_000, 10_000, 100_000].into_iter().filter(|flows| *flows <= arguments.flows) {
        let repository = server.filled("strom_bench_lists", flows).await;
        let script = Script::new(&server.url("strom_bench_lists"), FIRST_PAGE);
        first_page(&*repository, &script, flows, arguments, report).await;
        pages(&*repository, flows, arguments, report).await;
        repository.close().await.unwrap();
    }
    for what in ["first page", "deep page", "search by name", "rare value"] {
        report.add_slope("lists", what, None);
    }
}

const FIRST_PAGE: &str = "
    SELECT id, name, state, auto_restart, size, elements, blocks, links, revision, created_at, updated_at, author
    FROM flows ORDER BY name COLLATE \"C\", id LIMIT 51;";
/// The number of pages per round, because each round starts a pgbench process.
const PAGES_OF_A_TURN: u64 = 200;

/// Measures the first page for one caller, compared with pgbench.
async fn first_page(
    repository: &dyn FlowRepository,
    script: &Script,
    flows: u64,
    arguments: &Arguments,
    report: &mut Report,
) {
    let first = ListQuery { limit: Some(PAGE), ..ListQuery::default() };
    let ours = async || {
        let taken = timed(async {
            for _ in 0..PAGES_OF_A_TURN {
                repository.summaries(&first).await.unwrap();
            }
        });
        taken.await / PAGES_OF_A_TURN as f64
    };
    let floor = async || script.run(1, Length::Transactions(PAGES_OF_A_TURN));
    let (ours, floor) = in_turns(arguments.rounds(7), ours, floor).await;
    report.add(Row::new("lists", "first page, again and again", &ours).of(flows, 2_000, 1).over("pgbench", &floor));
}

async fn pages(repository: &dyn FlowRepository, flows: u64, arguments: &Arguments, report: &mut Report) {
    let first = ListQuery { limit: Some(PAGE), ..ListQuery::default() };
    let deep = at_depth(repository, flows).await;
    let named = |text: &str| filtered(Filter { name: Some(NamePart::parse(text).unwrap()), ..Filter::default() });
    let holding =
        |text: &str| filtered(Filter { contains: Some(Containment::parse(text).unwrap()), ..Filter::default() });
    let number = flows / 3;
    // Matches the last digits of one name.
    let search = named(&format!("w {number:06}"));
    let rare = holding(&format!(r#"{{"elements":[{{"properties":{{"gain":{number}.1}}}}]}}"#));
    let rounds = arguments.rounds(PAGES);
    let page = async |query: &ListQuery, least: usize| {
        timed(async { assert!(repository.summaries(query).await.unwrap().items.len() >= least) }).await
    };
    let full = (flows as usize).min(PAGE as usize);
    let (deep_samples, first_samples) =
        in_turns(rounds, async || page(&deep, full).await, async || page(&first, full).await).await;
    let (found, contained) = in_turns(rounds, async || page(&search, 1).await, async || page(&rare, 1).await).await;
    let row = |what, samples: &Samples| Row::new("lists", what, samples).of(flows, 2_000, 1);
    report.add(row("first page", &first_samples).goal(0.002));
    report.add(row("deep page", &deep_samples).goal(0.002));
    report.add(row("deep page over the first", &deep_samples).over("first page", &first_samples).goal(1.5));
    report.add(row("search by name", &found).goal(0.005));
    report.add(row("rare value", &contained).goal(0.005));
}

fn filtered(filter: Filter) -> ListQuery {
    ListQuery { filter, limit: Some(PAGE), ..ListQuery::default() }
}

/// Returns the query of the page after nine tenths of the flows.
async fn at_depth(repository: &dyn FlowRepository, flows: u64) -> ListQuery {
    let mut query = ListQuery { limit: Some(PAGE.min(flows as u32 / 4)), ..ListQuery::default() };
    for _ in 0..flows * 9 / 10 / u64::from(query.limit.unwrap()) - 1 {
        query.after = repository.summaries(&query).await.unwrap().next;
    }
    ListQuery { limit: Some(PAGE), ..query }
}
