//! The backend fulfils the whole contract. What applies to a restart does not apply to it.

use std::sync::Arc;

use chrono::DateTime;
use strom_store::FlowRepository;
use strom_store::repository::Retention;
use third_backend::MemoryRepository;

async fn open() -> Arc<dyn FlowRepository> {
    Arc::new(MemoryRepository::new(DateTime::UNIX_EPOCH, Retention::default()))
}

async fn open_with_retention(retention: Retention) -> (Arc<MemoryRepository>, ()) {
    (Arc::new(MemoryRepository::new(DateTime::UNIX_EPOCH, retention)), ())
}

strom_store::contract_tests!(open);
strom_store::retention_tests!(open_with_retention);
