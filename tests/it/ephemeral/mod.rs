//! Flows in memory alone, over both backends.

mod away;
mod model;
mod program;
mod pruning;

use std::sync::Arc;

use strom::FlowRepository;
use strom::ephemeral::Ephemeral;
use strom::testkit::samples::time;

fn decorated(store: Arc<dyn FlowRepository>) -> Arc<dyn FlowRepository> {
    Arc::new(Ephemeral::over(store, time(0)))
}

/// What is not ephemeral is as in the backend.
mod json {
    async fn open() -> crate::support::Opened<crate::support::json::File> {
        crate::support::json::open().await.decorated(super::decorated)
    }

    strom::contract_tests!(open);

    mod promises {
        use crate::support::json::open;

        strom::ephemeral_tests!(open);
    }
}

mod postgres {
    async fn open() -> crate::support::Opened<crate::support::postgres::Database> {
        crate::support::postgres::open().await.decorated(super::decorated)
    }

    strom::contract_tests!(open);

    mod promises {
        use crate::support::postgres::open;

        strom::ephemeral_tests!(open);
    }
}
