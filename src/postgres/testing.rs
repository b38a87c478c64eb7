//! Access for the tests of this backend. Not part of the API.

use super::connection::MAX_CONNECTIONS;
use super::flows::begin_transaction;
use super::repository::PostgresRepository;
use crate::repository::Result;

/// Returns every connection to the pool with an open transaction, as a cancelled `BEGIN` does. No later call may run
/// inside one of them.
pub async fn leave_transactions_open(repository: &PostgresRepository) -> Result<()> {
    let mut connections = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut connection = repository.pool.acquire().await?;
        begin_transaction(&mut connection).await?;
        connections.push(connection);
    }
    Ok(())
}
