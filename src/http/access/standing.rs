//! Whether who has been let in may stay.

use std::future::pending;

use super::Keys;

/// Whether the key of a request is still good, for answers that go on. Anonymous callers, and those of a key that is never
/// replaced, stay.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Option<(Keys, [u8; 32])>);

impl Standing {
    pub(super) fn of(keys: &Keys, digest: [u8; 32]) -> Self {
        Self(Some((keys.clone(), digest)))
    }

    /// Returns when the key is withdrawn.
    pub(crate) async fn lost(&self) {
        match &self.0 {
            Some((keys, digest)) => keys.until(|keys| keys.iter().all(|key| key.digest != *digest)).await,
            None => pending().await,
        }
    }
}
