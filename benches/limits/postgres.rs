//! Reads and saves of PostgreSQL, compared with pgbench on the same rows.

use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use sqlx::{Connection, PgConnection};
use strom_server::clock;
use strom_store::FlowRepository;
use strom_store::internals::Chance;
use strom_store::repository::Change;
use strom_store::storage::Storage;
use url::Url;

use crate::Arguments;
use crate::document::document;
use crate::load::{AsyncOperation, Done, Edits, edit, in_turns, served, stamp, tasks};
use crate::pgbench::{ID, Length, Script};
use crate::report::{Report, Row, Samples};

const FLOWS: u64 = 10_000;
const SLICES: usize = 7;
/// The length of one round, equal to that of pgbench.
const SLICE: Duration = Duration::from_secs(2);
/// The maximum number of connections of an instance, and of its floor.
const CONNECTIONS: usize = 5;

/// A server with a template database that contains empty tables of Strom.
pub(crate) struct Server {
    url: Url,
}

impl Server {
    pub(crate) async fn of_environment() -> Option<Self> {
        let server = Self { url: Url::parse(&std::env::var("DATABASE_URL").ok()?).expect("a URL") };
        server.create("strom_bench_empty", "template1").await;
        let extended = server.run_in("strom_bench_empty", "CREATE EXTENSION pg_trgm").await;
        let repository = server.open("strom_bench_empty").await;
        let index_exists = "DO $$ BEGIN ASSERT to_regclass('flows_name_parts') IS NOT NULL; END $$";
        while extended.is_ok() && server.run_in("strom_bench_empty", index_exists).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        repository.close().await.unwrap();
        Some(server)
    }

    async fn run_in(&self, database: &str, statement: &str) -> sqlx::Result<()> {
        let mut connection = PgConnection::connect(&self.url(database)).await?;
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
        connection.close().await?;
        done.map(drop)
    }

    pub(crate) async fn create(&self, name: &str, template: &str) {
        self.run_in("postgres", &format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
        self.run_in("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(database);
        url.into()
    }

    pub(crate) async fn open(&self, database: &str) -> Arc<dyn FlowRepository> {
        served(Storage::parse(&self.url(database)).unwrap().open(clock::now()).await.unwrap())
    }

    /// Creates a database with this number of flows of 2 kB and opens a repository.
    pub(crate) async fn filled(&self, database: &str, flows: u64) -> Arc<dyn FlowRepository> {
        self.filled_with(database, flows, 2_000).await
    }

    async fn filled_with(&self, database: &str, flows: u64, bytes: usize) -> Arc<dyn FlowRepository> {
        self.create(database, "strom_bench_empty").await;
        let repository = self.open(database).await;
        for first in (0..flows).step_by(10_000) {
            let numbers = first..flows.min(first + 10_000);
            repository.apply_all(numbers.map(|number| edit(number, bytes, 0)).collect(), stamp()).await.unwrap();
        }
        self.settle(database).await;
        repository
    }

    /// Runs the maintenance that a server has done after some time.
    pub(crate) async fn settle(&self, database: &str) {
        for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
            self.run_in(database, statement).await.unwrap();
        }
    }
}

pub(crate) async fn measure(server: &Server, arguments: &Arguments, report: &mut Report) {
    for (flows, bytes, counts) in
        [(FLOWS, 2_000, &[1, 5, 32, 128][..]), (1_000, 20_000, &[1, 5]), (100, 200_000, &[1, 5])]
    {
        let database = "strom_bench_calls";
        let store = Store {
            repository: server.filled_with(database, flows, bytes).await,
            url: server.url(database),
            flows,
            bytes,
        };
        for count in counts {
            store.measure_reads(*count, arguments, report).await;
        }
        for count in counts {
            store.measure_saves(*count, arguments, report).await;
        }
        store.repository.close().await.unwrap();
    }
}

/// The measured repository, and its database for pgbench.
struct Store {
    repository: Arc<dyn FlowRepository>,
    url: String,
    flows: u64,
    bytes: usize,
}

impl Store {
    async fn measure_reads(&self, count: usize, arguments: &Arguments, report: &mut Report) {
        let script = Script::new(&self.url, &read_by_pgbench(self.flows));
        let reader = |task| Reader {
            repository: Arc::clone(&self.repository),
            chance: Chance::new(task as u64),
            flows: self.flows,
        };
        let ours = async || tasks(count, SLICE, reader).await.seconds;
        let floor = async || script.run(count.min(CONNECTIONS), Length::Seconds(SLICE.as_secs()));
        let (ours, floor) = in_turns(arguments.rounds(SLICES), ours, floor).await;
        let row = self.row("point read", &ours, count).over("pgbench", &floor);
        report.add(if count == 5 && self.bytes == 2_000 { row.goal(1.0 / 0.8) } else { row });
    }

    /// Measures saves in shared statements, saves in single statements through the same pool, and saves by pgbench.
    async fn measure_saves(&self, count: usize, arguments: &Arguments, report: &mut Report) {
        let mut stalls = Samples::default();
        let script = Script::new(&self.url, &save_by_pgbench(self.flows, self.bytes));
        let mut pgbench = Samples::default();
        let shared = async || {
            let done = self.save(count, true).await;
            stalls.add(done.worst);
            done.seconds
        };
        let single = async || {
            pgbench.add(script.run(count.min(CONNECTIONS), Length::Seconds(SLICE.as_secs())));
            self.save(count, false).await.seconds
        };
        let (ours, floor) = in_turns(arguments.rounds(SLICES), shared, single).await;
        let row = self.row("save", &ours, count);
        let over_pool = row.clone().over("a statement each", &floor);
        report.add(if count == 32 { over_pool.goal(1.0 / 3.0) } else { over_pool });
        report.add(row.over("pgbench, 5 clients at most", &pgbench));
        let row = self.row("save, worst of a turn", &stalls, count);
        report.add(if count == 32 { row.goal(0.020) } else { row });
    }

    async fn save(&self, count: usize, shares_statements: bool) -> Done {
        let edits = |task| Edits::of(task, self.flows, self.bytes);
        let saver = |task| Saver { repository: Arc::clone(&self.repository), edits: edits(task), shares_statements };
        tasks(count, SLICE, saver).await
    }

    fn row(&self, what: &str, samples: &Samples, count: usize) -> Row {
        Row::new("PostgreSQL", what, samples).of(self.flows, self.bytes, count)
    }
}

struct Reader {
    repository: Arc<dyn FlowRepository>,
    chance: Chance,
    flows: u64,
}

impl AsyncOperation for Reader {
    async fn once(&mut self) {
        let id = uuid::Uuid::from_u128(self.chance.below(self.flows).into()).into();
        self.repository.get(id).await.unwrap().expect("the flow");
    }
}

struct Saver {
    repository: Arc<dyn FlowRepository>,
    edits: Edits,
    shares_statements: bool,
}

impl AsyncOperation for Saver {
    async fn once(&mut self) {
        let changes: Vec<Change> = vec![self.edits.next_change()];
        match self.shares_statements {
            true => self.repository.apply_all(changes, stamp()).await.unwrap(),
            // A list of changes does not share a statement with other calls.
            false => self.repository.apply(Arc::new(changes), stamp()).await.unwrap(),
        };
    }
}

fn read_by_pgbench(flows: u64) -> String {
    format!(
        "\\set n random(0, {})
        SELECT id, name, state, auto_restart, size, elements, blocks, links, revision, created_at, updated_at, author, data
        FROM flows WHERE id = {ID};",
        flows - 1
    )
}

/// Sets the author, so that the triggers treat pgbench as an instance, which sends NOTIFY after the commit.
fn save_by_pgbench(flows: u64, bytes: usize) -> String {
    let text = document(0xabc, bytes).replace("\":", "\": ").replace("flow 002748", "flow ");
    let (before, after) = text.split_once("00000000-0000-0000-0000-000000000abc").unwrap();
    let (name, after) = after.split_once("flow ").unwrap();
    let after = after.replace("\"links\": []", "\"links\": [],\"edit\": ");
    let after = after.trim_end_matches('}');
    format!(
        "\\set n random(0, {})
        \\set content random(0, 1000000000)
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', 'bench', TRUE), set_config('strom.at', now()::TEXT, TRUE)
        )
        UPDATE flows SET updated_at = now(),
            data = ('{before}' || {ID} || '{name}flow ' || lpad((:n::int)::text, 6, '0') || '{after}' || :content::int || '}}')::jsonb
        FROM stamp WHERE id = {ID};",
        flows - 1
    )
}
