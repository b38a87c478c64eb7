//! The lock timeout of a session that migrates.

use sqlx::PgConnection;

/// Time limit for a concurrent index build to wait for older transactions. It blocks no other session, so the limit is
/// long. It is finite, because an abandoned transaction may never end.
pub(super) const CONCURRENT_LOCK_TIMEOUT: &str = "300s";

pub(super) async fn set_lock_timeout(connection: &mut PgConnection, timeout: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', $1, FALSE)", timeout).fetch_one(connection).await?;
    Ok(())
}
