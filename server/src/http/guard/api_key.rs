//! API keys: a name, a permission and the hash of a secret.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use strom_store::repository::Author;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::sync::watch;

use super::secret::{WeakSecret, digest_of};

/// A key. The server stores the SHA-256 of its secret. A password hash is not necessary for a long random secret, and it would
/// slow down every request.
#[derive(Clone)]
pub struct ApiKey {
    name: Author,
    pub(super) digest: [u8; 32],
    is_read_only: bool,
}

impl ApiKey {
    /// Creates a key with this secret and the author `api`. [`parse`](Self::parse) also checks the secret.
    pub fn new(secret: &str) -> Self {
        Self::named("api", secret)
    }

    /// Creates a key with this secret and this author.
    pub fn named(name: &str, secret: &str) -> Self {
        Self::of_digest(name, Sha256::digest(secret).into())
    }

    /// Creates a key with this secret and the author `api`.
    ///
    /// # Errors
    /// Fails if the secret has less than 16 characters, leading or trailing spaces, or characters other than printable ASCII.
    pub fn parse(secret: &str) -> Result<Self, WeakSecret> {
        Ok(Self::of_digest("api", digest_of(secret)?))
    }

    pub(super) fn of_digest(name: &str, digest: [u8; 32]) -> Self {
        Self { name: Author::new(name), digest, is_read_only: false }
    }

    /// Makes the key read-only.
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

/// Several keys. All clones contain the same keys, and they can be replaced while a server uses them.
#[derive(Debug, Clone)]
pub struct Keys(Arc<watch::Sender<Arc<[ApiKey]>>>);

impl FromIterator<ApiKey> for Keys {
    fn from_iter<I: IntoIterator<Item = ApiKey>>(keys: I) -> Self {
        Self(Arc::new(watch::Sender::new(keys.into_iter().collect())))
    }
}

impl Keys {
    /// Replaces all keys. Running requests continue. The streams of withdrawn keys end.
    pub fn replace(&self, keys: impl IntoIterator<Item = ApiKey>) {
        self.0.send_replace(keys.into_iter().collect());
    }

    pub(super) fn current(&self) -> Arc<[ApiKey]> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits until the keys satisfy a condition.
    pub(super) async fn wait_until(&self, condition: impl Fn(&[ApiKey]) -> bool) {
        // This value owns the sender, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|keys| condition(keys)).await;
    }
}

/// The client that sends a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: Author,
    pub(crate) is_read_only: bool,
    /// The digest of the secret. `None` for an anonymous caller.
    pub(super) digest: Option<[u8; 32]>,
}

impl Caller {
    pub(crate) fn has_key(&self) -> bool {
        self.digest.is_some()
    }
}

/// Returns the caller with this secret. Always compares the digests of all keys, so that the time reveals neither the length of a
/// secret nor the matching key.
pub(super) fn find_holder(keys: &[ApiKey], secret: &[u8]) -> Option<Caller> {
    let digest: [u8; 32] = Sha256::digest(secret).into();
    let mut found = u64::MAX;
    for (index, key) in (0_u64..).zip(keys) {
        found.conditional_assign(&index, key.digest.ct_eq(&digest));
    }
    let key = keys.get(usize::try_from(found).ok()?)?;
    Some(Caller { name: key.name.clone(), is_read_only: key.is_read_only, digest: Some(key.digest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_identifies_its_key() {
        let keys = [ApiKey::new("one"), ApiKey::named("Studio A", "two").read_only(), ApiKey::named("c", "three")];
        let holder = |secret: &str| {
            let Caller { name, is_read_only, .. } = find_holder(&keys, secret.as_bytes())?;
            Some((name.as_str().to_owned(), is_read_only))
        };
        assert_eq!(holder("one"), Some(("api".to_owned(), false)));
        assert_eq!(holder("two"), Some(("Studio A".to_owned(), true)));
        assert_eq!(holder("three"), Some(("c".to_owned(), false)));
        for wrong in ["", "on", "onee", "One", "four"] {
            assert_eq!(holder(wrong), None, "{wrong}");
        }
        assert!(find_holder(&[], b"").is_none());
        assert!(!format!("{keys:?}").contains("digest"));
    }

    #[test]
    fn keys_are_replaced_in_every_clone() {
        let keys: Keys = [ApiKey::new("old")].into_iter().collect();
        let served = keys.clone();
        keys.replace([ApiKey::new("new")]);
        assert!(find_holder(&served.current(), b"old").is_none() && find_holder(&served.current(), b"new").is_some());
    }
}
