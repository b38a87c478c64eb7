//! What the store costs, each beside its floor in the same run: `just bench`.
//!
//! The PostgreSQL half runs when `DATABASE_URL` names a database that may be filled; `just bench` brings one.

mod document;

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use strom::flow::Runtime;
use strom::repository::{Author, Change, ListQuery, Precondition, Stamp};
use strom::storage::Storage;
use strom::{Flow, FlowRepository, clock};
use tokio::runtime;

use self::document::document;

fn documents(c: &mut Criterion) {
    for bytes in [2_000, 20_000, 200_000] {
        let text = document(1, bytes);
        let mut group = c.benchmark_group("document");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("floor: RawValue", bytes), |b| {
            b.iter(|| serde_json::from_str::<Box<RawValue>>(black_box(&text)).unwrap());
        });
        group.bench_function(BenchmarkId::new("serde_json Value", bytes), |b| {
            b.iter(|| serde_json::from_str::<serde_json::Value>(black_box(&text)).unwrap());
        });
        group.bench_function(BenchmarkId::new("parse and check", bytes), |b| {
            b.iter(|| Flow::parse(black_box(&text)).unwrap());
        });
        let flow = Flow::parse(&text).unwrap();
        group.bench_function(BenchmarkId::new("hash", bytes), |b| b.iter(|| flow.hash(Runtime::Left).unwrap()));
        group.finish();
    }
}

fn json_file(c: &mut Criterion) {
    let runtime = runtime::Runtime::new().unwrap();
    for count in [10, 1_000] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flows.json");
        let flows = open(&runtime, path.to_str().unwrap());
        fill(&runtime, &*flows, count);
        let mut group = c.benchmark_group(format!("json, {count} flows of 2 kB"));
        let content = std::fs::read(&path).unwrap();
        group.bench_function("floor: write, sync and rename the same bytes", |b| {
            b.iter(|| {
                let mut file = tempfile::NamedTempFile::new_in(directory.path()).unwrap();
                file.write_all(&content).unwrap();
                file.as_file().sync_all().unwrap();
                file.persist(directory.path().join("floor.json")).unwrap();
                std::fs::File::open(directory.path()).unwrap().sync_all().unwrap();
            });
        });
        operations(&mut group, &runtime, &flows);
        group.finish();
        runtime.block_on(flows.close());
    }
}

fn postgres(c: &mut Criterion) {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        return eprintln!("no DATABASE_URL: PostgreSQL is not measured; `just bench` brings one");
    };
    let runtime = runtime::Runtime::new().unwrap();
    let flows = open(&runtime, &url);
    fill(&runtime, &*flows, 1_000);
    let mut group = c.benchmark_group("postgres, 1000 flows of 2 kB");
    operations(&mut group, &runtime, &flows);
    group.finish();
    runtime.block_on(flows.close());
}

fn operations(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    runtime: &runtime::Runtime,
    flows: &Arc<dyn FlowRepository>,
) {
    let mut edit = 0;
    group.bench_function("save", |b| {
        b.iter(|| {
            edit += 1;
            let text = document(5, 2_000).replace("\"links\":[]", &format!("\"links\":[],\"edit\":{edit}"));
            let change = Change::Put(Flow::parse(&text).unwrap(), Precondition::Any);
            runtime.block_on(flows.apply(vec![change], stamp())).unwrap();
        });
    });
    let id = uuid::Uuid::from_u128(7).into();
    group.bench_function("get", |b| b.iter(|| runtime.block_on(flows.get(id)).unwrap().unwrap()));
    let page = ListQuery { limit: Some(50), ..ListQuery::default() };
    group.bench_function("page of 50 summaries", |b| b.iter(|| runtime.block_on(flows.summaries(&page)).unwrap()));
    group.bench_function("list of all", |b| {
        b.iter(|| runtime.block_on(flows.list(&ListQuery::default())).unwrap());
    });
}

fn open(runtime: &runtime::Runtime, place: &str) -> Arc<dyn FlowRepository> {
    runtime.block_on(Storage::parse(place).unwrap().open(clock::now())).unwrap()
}

fn fill(runtime: &runtime::Runtime, flows: &dyn FlowRepository, count: u128) {
    let put = |number| Change::Put(Flow::parse(&document(number, 2_000)).unwrap(), Precondition::Any);
    runtime.block_on(flows.apply((0..count).map(put).collect(), stamp())).unwrap();
}

fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("bench"))
}

criterion_group!(benches, documents, json_file, postgres);
criterion_main!(benches);
