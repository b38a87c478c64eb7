//! Both backends keep the contract, and keep it across a restart.

use std::sync::Arc;

use strom::FlowRepository;
use strom::testkit::reopening;

mod json {
    use crate::support::json::{File, open, open_keeping};

    strom::contract_tests!(open);
    strom::retention_tests!(open_keeping);

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_acknowledged_is_there_after_a_restart() {
        let file = File::new();
        super::survives_restarts(async || file.open().await).await;
    }
}

mod postgres {
    use crate::support::postgres::{Database, open, open_keeping};

    strom::contract_tests!(open);
    strom::retention_tests!(open_keeping);

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_acknowledged_is_there_after_a_restart() {
        let database = Database::migrated().await;
        super::survives_restarts(async || database.repository().await).await;
    }
}

async fn survives_restarts(open: impl AsyncFn() -> Arc<dyn FlowRepository>) {
    let first = open().await;
    let created = reopening::fill(first.clone()).await;
    first.close().await;
    for _ in 0..2 {
        let repository = open().await;
        reopening::verify_filled(repository.clone(), created).await;
        repository.close().await;
    }
    reopening::verify_deleted_revision(open().await).await;
}
