//! The JSON backend keeps the contract.

use strom::testkit::reopening;

use crate::support::json::{File, open};

strom::contract_tests!(open);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let file = File::new();
    reopening::fill(file.open().await).await;
    for _ in 0..2 {
        let repository = file.open().await;
        reopening::verify_filled(repository.clone()).await;
        repository.close().await;
    }
    reopening::verify_deleted_revision(file.open().await).await;
}
