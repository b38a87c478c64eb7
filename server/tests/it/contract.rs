//! The stack of layers that the server uses fulfils the repository contract on both backends.

use std::sync::Arc;

use strom_server::stack::{Layers, Stack};
use strom_store::FlowRepository;
use strom_store::internals::samples::time;
use strom_store::last_known::{LastKnown, Settings};

fn stacked(layers: Layers) -> Arc<dyn FlowRepository> {
    Arc::clone(layers.ephemeral(time(0)).build().repository())
}

/// Returns the layers over a backend with a last-known copy, which records all changes.
async fn with_copy(backend: &Arc<dyn FlowRepository>) -> Layers {
    let last_known = LastKnown::follow(Arc::clone(backend), Settings::default()).await;
    Stack::over(Arc::clone(backend)).last_known(last_known)
}

mod json {
    use strom_test_support::{Opened, json};

    async fn open() -> Opened<json::File> {
        json::open().await.decorated(|backend| super::stacked(super::Stack::over(backend)))
    }

    strom_store::contract_tests!(open);
}

mod postgres {
    use strom_test_support::{Opened, postgres};

    async fn open() -> Opened<postgres::Database> {
        let opened = postgres::open().await;
        let layers = super::with_copy(&opened).await;
        opened.decorated(|_| super::stacked(layers))
    }

    strom_store::contract_tests!(open);
}
