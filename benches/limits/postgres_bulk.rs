//! Snapshots of all flows of a database, and imports.

use std::io::Write;
use std::sync::Arc;

use futures::StreamExt;
use sqlx::{Connection, PgConnection};
use strom_server::transfer::{Import, OnConflict, Options};
use strom_store::FlowRepository;

use crate::Arguments;
use crate::document::document;
use crate::load::{in_turns, stamp, timed};
use crate::pgbench::{Length, Script};
use crate::postgres::Server;
use crate::report::{Report, Row, Samples};

const SNAPSHOTS: usize = 11;
const IMPORTS: usize = 7;
const IMPORTED: u64 = 10_000;

pub(crate) async fn measure(server: &Server, arguments: &Arguments, report: &mut Report) {
    for flows in [1_000, 10_000, 100_000].into_iter().filter(|flows| *flows <= arguments.flows) {
        snapshot(server, flows, arguments, report).await;
    }
    report.add_slope("PostgreSQL", "snapshot of all", None);
    import(server, arguments, report).await;
}

async fn snapshot(server: &Server, flows: u64, arguments: &Arguments, report: &mut Report) {
    let repository = server.filled("strom_bench_all", flows).await;
    let script = Script::new(&server.url("strom_bench_all"), "SELECT data FROM flows;");
    let ours = async || {
        timed(async {
            let mut snapshot = repository.snapshot();
            let mut count = 0;
            while let Some(flow) = snapshot.next().await {
                flow.unwrap();
                count += 1;
            }
            assert_eq!(count, flows);
        })
        .await
    };
    let floor = async || script.run(1, Length::Transactions(1));
    let (ours, floor) = in_turns(arguments.rounds(SNAPSHOTS), ours, floor).await;
    let row = Row::new("PostgreSQL", "snapshot of all", &ours).of(flows, 2_000, 1).over("pgbench", &floor);
    report.add(if flows == 10_000 { row.goal(1.2) } else { row });
    repository.close().await.unwrap();
}

/// Measures imports into new databases. The floor is `COPY` into another one with the same indexes and triggers.
async fn import(server: &Server, arguments: &Arguments, report: &mut Report) {
    let lines: String = (0..IMPORTED).map(|number| document(number.into(), 2_000) + "\n").collect();
    let mut again = Samples::default();
    let ours = async || {
        server.create("strom_bench_import", "strom_bench_empty").await;
        let repository = server.open("strom_bench_import").await;
        let time = timed(run(&repository, &lines, IMPORTED as usize, 0)).await;
        again.add(timed(run(&repository, &lines, 0, IMPORTED as usize)).await);
        repository.close().await.unwrap();
        time
    };
    let floor = async || {
        server.create("strom_bench_copy", "strom_bench_empty").await;
        let mut connection = PgConnection::connect(&server.url("strom_bench_copy")).await.unwrap();
        let time = timed(copy(&mut connection)).await;
        connection.close().await.unwrap();
        time
    };
    let (ours, floor) = in_turns(arguments.rounds(IMPORTS), ours, floor).await;
    let row = |what, samples| Row::new("PostgreSQL", what, samples).of(IMPORTED, 2_000, 1);
    report.add(row("import", &ours).over("COPY", &floor).goal(1.5));
    report.add(row("import of the same again", &again).over("the first import", &ours).goal(0.05));
}

async fn run(repository: &Arc<dyn FlowRepository>, lines: &str, created: usize, unchanged: usize) {
    let import = Import::read(lines.as_bytes(), Arc::new(())).unwrap();
    let options = Options { on_conflict: OnConflict::Replace, ..Options::default() };
    let report = import.run(&**repository, options, |id| id, stamp()).await.unwrap();
    assert_eq!((report.counts.created, report.counts.unchanged), (created, unchanged));
}

/// Copies the required columns in one transaction, with an author as an instance sets it.
async fn copy(connection: &mut PgConnection) {
    let mut rows = Vec::new();
    for number in 0..IMPORTED {
        let text = document(number.into(), 2_000);
        let id = uuid::Uuid::from_u128(number.into());
        writeln!(rows, "{id}\tflow {number:06}\t{}", text.replace('\\', "\\\\")).unwrap();
    }
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("SELECT set_config('strom.author', 'bench', TRUE)").execute(&mut *transaction).await.unwrap();
    let mut into = transaction.copy_in_raw("COPY flows (id, name, data) FROM STDIN").await.unwrap();
    into.send(rows).await.unwrap();
    assert_eq!(into.finish().await.unwrap(), IMPORTED);
    transaction.commit().await.unwrap();
}
