//! Benchmarks of single functions: `just bench functions`. `just bench limits` measures whole operations.

mod document;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use strom_store::Flow;
use strom_store::flow::Runtime;

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
        group.bench_function(BenchmarkId::new("canonical text", bytes), |b| {
            b.iter(|| flow.canonical(black_box(Runtime::Exclude)).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, documents);
criterion_main!(benches);
