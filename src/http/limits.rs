//! How many requests a client may send.
//!
//! A client is who holds a key, wherever it is used, and without keys an address, of IPv6 the network of 64 bits that one
//! machine can take every address of. `Forwarded` is not read, since anybody can write it: behind a proxy all clients without a
//! key are one. What a client may send flows into its account evenly and is worth a second at most (GCRA), so a client that
//! is over its limit is still served at that rate. The answer is 429 (RFC 6585) with `Retry-After`; not the
//! `RateLimit` fields, which are a draft that has changed its syntax more than once.
//!
//! Wrong keys are counted for themselves, and are 429 instead of 401 when there are many. A right key is let
//! through all the same: if it was not, anybody behind the same proxy or at the same desk could shut a control room out
//! by guessing. So this keeps logs and processors free; what keeps guesses from hitting is the length of the secrets.
//!
//! What asks how the server is (`/health`, `/ready`, `/metrics`) is not limited, and neither is anybody whose address is
//! not known, as in a program that calls the routes without a socket.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{ConnectInfo, Request};
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::access::Caller;
use super::problem::{Kind, Problem};
use crate::repository::Author;

/// Wrong keys from one address: so many at once, then one a second. A page full of requests with an old key has room.
const WRONG_KEYS: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");
/// After so many requests the clients are forgotten that have their full account again.
const SWEEP: u32 = 1024;

/// The accounts of all clients. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Limits(Arc<Accounts>);

#[derive(Debug)]
struct Accounts {
    requests: Option<Limiter>,
    wrong_keys: Limiter,
}

/// Whose account it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    Key(Author),
    /// An address of IPv4, or the upper half of one of IPv6.
    At([u8; 8]),
}

impl Limits {
    /// So many requests a second, or any number.
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        let wrong_keys = Limiter::new(Quota::per_second(NonZeroU32::MIN).allow_burst(WRONG_KEYS));
        Self(Arc::new(Accounts { requests: rate.map(|rate| Limiter::new(Quota::per_second(rate))), wrong_keys }))
    }

    /// A request of this caller, or of somebody without a key.
    pub(super) fn request(&self, request: &Request, caller: Option<&Caller>) -> Result<(), Problem> {
        let Some(limiter) = &self.0.requests else { return Ok(()) };
        let holder = caller.filter(|caller| caller.has_key()).map(|caller| Client::Key(caller.name.clone()));
        match holder.or_else(|| Client::at(request)) {
            Some(client) => limiter.count(&client, "requests"),
            None => Ok(()),
        }
    }

    /// A key that is wrong.
    pub(super) fn wrong_key(&self, request: &Request) -> Result<(), Problem> {
        Client::at(request).map_or(Ok(()), |client| self.0.wrong_keys.count(&client, "wrong keys"))
    }
}

impl Client {
    fn at(request: &Request) -> Option<Self> {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        let mut place = [0; 8];
        match peer.ip().to_canonical() {
            // `0:0:…` is the upper half of no address but of IPv6's own few, so the two do not meet.
            IpAddr::V4(address) => place[4..].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => place.copy_from_slice(&address.octets()[..8]),
        }
        Some(Self::At(place))
    }
}

#[derive(Debug)]
struct Limiter {
    accounts: DefaultKeyedRateLimiter<Client>,
    counted: AtomicU32,
}

impl Limiter {
    fn new(quota: Quota) -> Self {
        Self { accounts: RateLimiter::keyed(quota), counted: AtomicU32::new(0) }
    }

    /// Every now and then drops what says no more than a new account would, so that there are as many as clients in the
    /// time an account takes to fill, and not as clients ever.
    fn count(&self, client: &Client, what: &str) -> Result<(), Problem> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.accounts.retain_recent();
            self.accounts.shrink_to_fit();
        }
        self.accounts.check_key(client).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.accounts.clock().now());
            let interval = not_until.quota().replenish_interval();
            let detail = format!("{what} are taken at {:.0} a second here; go slower", 1.0 / interval.as_secs_f64());
            Problem::new(Kind::TooManyRequests, detail).retry_after(wait)
        })
    }
}
