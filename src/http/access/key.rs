//! Keys: a name, what it opens, and the hash of a secret.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::sync::watch;

use super::Caller;
use crate::repository::Author;

/// A key, kept as the SHA-256 of its secret. That is no hash for passwords: a secret that is long and random needs none,
/// and requests would pay for one.
#[derive(Clone)]
pub struct ApiKey {
    name: Author,
    pub(super) digest: [u8; 32],
    is_read_only: bool,
}

impl ApiKey {
    /// The key with this secret. What is done with it has the author `api`.
    pub fn new(secret: &str) -> Self {
        Self::named("api", secret)
    }

    /// The key with this secret. What is done with it has this author.
    pub fn named(name: &str, secret: &str) -> Self {
        Self::of_digest(name, Sha256::digest(secret).into())
    }

    pub(super) fn of_digest(name: &str, digest: [u8; 32]) -> Self {
        Self { name: Author::new(name), digest, is_read_only: false }
    }

    /// The same, for reading alone.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, is_read_only, .. } = self;
        f.debug_struct("ApiKey").field("name", name).field("is_read_only", is_read_only).finish_non_exhaustive()
    }
}

/// Several keys, and the same ones in every clone: they can be replaced while a server asks for them.
#[derive(Debug, Clone)]
pub struct Keys(Arc<watch::Sender<Arc<[ApiKey]>>>);

impl FromIterator<ApiKey> for Keys {
    fn from_iter<I: IntoIterator<Item = ApiKey>>(keys: I) -> Self {
        Self(Arc::new(watch::Sender::new(keys.into_iter().collect())))
    }
}

impl Keys {
    /// From now on these are the keys, and no others. Requests that have begun are finished; the streams of keys that are
    /// not among them end.
    pub fn replace(&self, keys: impl IntoIterator<Item = ApiKey>) {
        self.0.send_replace(keys.into_iter().collect());
    }

    pub(super) fn now(&self) -> Arc<[ApiKey]> {
        Arc::clone(&self.0.borrow())
    }

    /// Returns when the keys are so.
    pub(super) async fn until(&self, are_so: impl Fn(&[ApiKey]) -> bool) {
        // The other end is here, and is not dropped meanwhile.
        let _ = self.0.subscribe().wait_for(|keys| are_so(keys)).await;
    }
}

/// Who of these holds this secret. Digests are compared and not secrets, and always all of them, so that the time tells
/// neither how long a secret is nor which key was nearly or really met.
pub(super) fn holder(keys: &[ApiKey], secret: &[u8]) -> Option<Caller> {
    let digest: [u8; 32] = Sha256::digest(secret).into();
    let mut found = u64::MAX;
    for (place, key) in (0_u64..).zip(keys) {
        found.conditional_assign(&place, key.digest.ct_eq(&digest));
    }
    let key = keys.get(usize::try_from(found).ok()?)?;
    Some(Caller { name: key.name.clone(), is_read_only: key.is_read_only, digest: Some(key.digest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_holder() {
        let keys = [ApiKey::new("one"), ApiKey::named("Studio A", "two").read_only(), ApiKey::named("c", "three")];
        let held = |secret: &str| {
            let Caller { name, is_read_only, .. } = holder(&keys, secret.as_bytes())?;
            Some((name.as_str().to_owned(), is_read_only))
        };
        assert_eq!(held("one"), Some(("api".to_owned(), false)));
        assert_eq!(held("two"), Some(("Studio A".to_owned(), true)));
        assert_eq!(held("three"), Some(("c".to_owned(), false)));
        for wrong in ["", "on", "onee", "One", "four"] {
            assert_eq!(held(wrong), None, "{wrong}");
        }
        assert!(holder(&[], b"").is_none());
        assert!(!format!("{keys:?}").contains("digest"));
    }

    #[test]
    fn keys_are_replaced_in_every_clone() {
        let keys: Keys = [ApiKey::new("old")].into_iter().collect();
        let served = keys.clone();
        keys.replace([ApiKey::new("new")]);
        assert!(holder(&served.now(), b"old").is_none() && holder(&served.now(), b"new").is_some());
    }
}
