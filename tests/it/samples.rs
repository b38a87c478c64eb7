//! The documents in `tests/flows`, which include real, old and newer ones. A backend returns each of them unchanged.

use std::sync::Arc;

use strom_store::FlowRepository;
use strom_store::internals::samples::{canonical, change, everything, stamp};
use strom_store::repository::Change;

use strom_test_support::samples::all;
use strom_test_support::{json, postgres};

/// Stores each sample alone in an empty repository, and leaves it empty.
async fn check_all(repository: Arc<dyn FlowRepository>) {
    let samples = all();
    assert!(samples.len() >= 10, "`tests/flows` contains the samples");
    for (file, flow) in samples {
        change(&*repository, Change::create(flow.clone()), stamp(0)).await;
        let stored = repository.get(flow.id()).await.unwrap().unwrap();
        assert_eq!(canonical(&stored.item), canonical(&flow), "{file}");
        assert_eq!(stored.item.head(), flow.head(), "{file}");
        change(&*repository, Change::delete(flow.id()), stamp(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_returns_every_sample_unchanged() {
    check_all(json::open().await.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_returns_every_sample_unchanged() {
    check_all(postgres::open().await.clone()).await;
}

/// Older versions store an infinite coordinate as null, and then fail to start.
#[test]
fn infinite_position_is_accepted_with_a_warning() {
    let warned = all().into_iter().filter_map(|(_, flow)| {
        let warnings = flow.warnings().unwrap();
        (!warnings.is_empty()).then(|| (flow.head().name.clone(), warnings.iter().map(ToString::to_string).collect()))
    });
    let expected: (String, Vec<String>) =
        ("stored from position 1e39".to_owned(), vec!["`$.elements[0].position`: the position is null".to_owned()]);
    assert_eq!(warned.collect::<Vec<_>>(), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_file_is_unchanged_after_open_and_close() {
    let file = json::File::holding(include_str!("../flows/storage-file-v1-envelope.json"));
    let before = file.read();
    let repository = file.open().await;
    assert_eq!(everything(&*repository).await.len(), 2);
    repository.close().await.unwrap();
    assert_eq!(file.read(), before);
}
