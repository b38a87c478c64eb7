//! The stack of layers that the server uses fulfils the repository contract on both backends.

use std::sync::Arc;

use strom_server::stack::Stack;
use strom_store::FlowRepository;
use strom_store::internals::samples::time;

fn stacked(backend: Arc<dyn FlowRepository>) -> Arc<dyn FlowRepository> {
    Arc::clone(Stack::over(backend).ephemeral(time(0)).build().repository())
}

mod json {
    use strom_test_support::{Opened, json};

    async fn open() -> Opened<json::File> {
        json::open().await.decorated(super::stacked)
    }

    strom_store::contract_tests!(open);
}

mod postgres {
    use strom_test_support::{Opened, postgres};

    async fn open() -> Opened<postgres::Database> {
        postgres::open().await.decorated(super::stacked)
    }

    strom_store::contract_tests!(open);
}
