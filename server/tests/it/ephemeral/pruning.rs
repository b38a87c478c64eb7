//! An import with `prune` in a store with ephemeral flows.

use std::sync::Arc;

use strom_server::clock;
use strom_server::transfer::{Import, OnConflict, Options, Prune};
use strom_store::FlowRepository;
use strom_store::ephemeral::Ephemeral;
use strom_store::internals::samples::{change, flow, flow_with, stamp, time};
use strom_store::repository::{Change, ListQuery};

use strom_test_support::json;

/// Exports do not contain ephemeral flows, so an import must not delete flows because they are missing in an export.
#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_flows_are_not_pruned() {
    let opened = json::open().await;
    let repository = Ephemeral::over(Arc::clone(&opened), time(0));
    for flow in [flow_with(1, "a", r#""properties":{"ephemeral":true}"#), flow(2, "b"), flow(3, "c")] {
        change(&repository, Change::create(flow), stamp(0)).await;
    }
    let import = Import::read(flow(2, "b").document().get().as_bytes(), Arc::new(())).unwrap();
    let options = Options { on_conflict: OnConflict::Replace, prune: Prune::Rest, dry_run: false };
    let report = import.run(&repository, options, |_| clock::new_id(), stamp(1)).await.unwrap();
    assert_eq!((report.counts.unchanged, report.counts.deleted), (1, Some(1)));
    let left = repository.list(&ListQuery::default()).await.unwrap();
    assert_eq!(left.items.iter().map(|stored| stored.item.head().name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
