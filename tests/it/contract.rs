//! Both backends fulfil the contract, also across a restart.

use std::sync::Arc;

use strom_store::FlowRepository;
use strom_store::testkit::reopening;

mod json {
    use strom_test_support::json::{File, open, open_keeping};

    strom_store::contract_tests!(open);
    strom_store::retention_tests!(open_keeping);

    #[tokio::test(flavor = "multi_thread")]
    async fn acknowledged_changes_survive_restarts() {
        let file = File::new();
        super::check_restarts(async || file.open().await).await;
    }
}

mod postgres {
    use strom_test_support::postgres::{Database, open, open_keeping};

    strom_store::contract_tests!(open);
    strom_store::retention_tests!(open_keeping);

    #[tokio::test(flavor = "multi_thread")]
    async fn acknowledged_changes_survive_restarts() {
        let database = Database::migrated().await;
        super::check_restarts(async || database.repository().await).await;
    }
}

async fn check_restarts(open: impl AsyncFn() -> Arc<dyn FlowRepository>) {
    let first = open().await;
    let created = reopening::fill(first.clone()).await;
    first.close().await.unwrap();
    for _ in 0..2 {
        let repository = open().await;
        reopening::verify_filled(repository.clone(), created).await;
        repository.close().await.unwrap();
    }
    reopening::verify_deleted_revision(open().await).await;
}
