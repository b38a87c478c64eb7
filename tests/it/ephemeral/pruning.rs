//! An import that deletes what it does not have.

use std::sync::Arc;

use strom::ephemeral::Ephemeral;
use strom::repository::{Change, ListQuery};
use strom::testkit::samples::{change, flow, flow_with, stamp, time};
use strom::transfer::{Import, OnConflict, Options, Prune};
use strom::{FlowRepository, clock};

use crate::support::json;

/// No export has them, so that none is missed in one.
#[tokio::test(flavor = "multi_thread")]
async fn flows_in_memory_are_not_pruned() {
    let opened = json::open().await;
    let both = Ephemeral::over(Arc::clone(&opened), time(0));
    for flow in [flow_with(1, "a", r#""properties":{"ephemeral":true}"#), flow(2, "b"), flow(3, "c")] {
        change(&both, Change::create(flow), stamp(0)).await;
    }
    let import = Import::read(flow(2, "b").document().get().as_bytes(), Arc::new(())).unwrap();
    let options = Options { on_conflict: OnConflict::Replace, prune: Prune::Rest, dry_run: false };
    let report = import.run(&both, options, |_| clock::new_id(), stamp(1)).await.unwrap();
    assert_eq!((report.counts.unchanged, report.counts.deleted), (1, Some(1)));
    let left = both.list(&ListQuery::default()).await.unwrap();
    assert_eq!(left.items.iter().map(|stored| stored.item.head().name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
