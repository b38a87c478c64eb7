//! Whether the key of an open stream is still valid.

use std::future::pending;

use super::api_key::Keys;

/// Observes the key of a request, for responses that continue. Anonymous callers and a fixed key are always valid.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyValidity(Option<(Keys, [u8; 32])>);

impl KeyValidity {
    pub(super) fn of(keys: &Keys, digest: [u8; 32]) -> Self {
        Self(Some((keys.clone(), digest)))
    }

    /// Waits until the key is withdrawn.
    pub(crate) async fn lost(&self) {
        match &self.0 {
            Some((keys, digest)) => keys.wait_until(|keys| keys.iter().all(|key| key.digest != *digest)).await,
            None => pending().await,
        }
    }
}
