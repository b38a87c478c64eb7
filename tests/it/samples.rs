//! The documents in `tests/flows`: real ones, old shapes, newer ones. A backend stores each and gives it back equal.

use std::path::Path;
use std::sync::Arc;

use strom::repository::Change;
use strom::testkit::samples::{canonical, change, everything, flows_of_file, stamp};
use strom::{Flow, FlowRepository};

use crate::support::{json, postgres};

/// Every flow of every file, with the name of its file. Some share an id.
pub(crate) fn all() -> Vec<(String, Flow)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flows");
    let files = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.flat_map(|path| flows_of_file(&path).into_iter().map(move |flow| (path.display().to_string(), flow))).collect()
}

/// Stores each sample alone in an empty repository, and leaves it empty.
async fn all_come_back_equal(repository: Arc<dyn FlowRepository>) {
    let samples = all();
    assert!(samples.len() >= 10, "the samples are there");
    for (file, flow) in samples {
        change(&*repository, Change::create(flow.clone()), stamp(0)).await;
        let stored = repository.get(flow.id()).await.unwrap().unwrap();
        assert_eq!(canonical(&stored.item), canonical(&flow), "{file}");
        assert_eq!(stored.item.head(), flow.head(), "{file}");
        change(&*repository, Change::delete(flow.id()), stamp(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_gives_every_sample_back() {
    all_come_back_equal(json::open().await.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_gives_every_sample_back() {
    all_come_back_equal(postgres::open().await.clone()).await;
}

/// What an infinite coordinate becomes in an older Strom, which does not start on it ever after.
#[test]
fn the_poisoned_sample_is_taken_with_a_warning() {
    let warned = all().into_iter().filter_map(|(_, flow)| {
        let warnings = flow.warnings().unwrap();
        (!warnings.is_empty()).then(|| (flow.head().name.clone(), warnings.iter().map(ToString::to_string).collect()))
    });
    let expected: (String, Vec<String>) =
        ("stored from position 1e39".to_owned(), vec!["`$.elements[0].position`: the position is null".to_owned()]);
    assert_eq!(warned.collect::<Vec<_>>(), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_samples_opens_as_it_is() {
    let file = json::File::holding(include_str!("../flows/storage-file-v1-envelope.json"));
    let before = file.read();
    let repository = file.open().await;
    assert_eq!(everything(&*repository).await.len(), 2);
    repository.close().await;
    assert_eq!(file.read(), before);
}
