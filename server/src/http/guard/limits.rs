//! Rate limits.
//!
//! A client is identified by its key, otherwise by its address. For IPv6 it is the network of 64 bits, because one machine can use
//! all its addresses. Behind a proxy that is not in `--trusted-proxies`, all clients without a key share one limit. Permits accumulate evenly, up to one second's worth (GCRA), so a client over the limit is still served at the
//! permitted rate. The response is 429 (RFC 6585) with `Retry-After`. The `RateLimit` fields are a draft whose syntax changed
//! several times.
//!
//! Wrong keys have a limit of their own, with 429 instead of 401. A valid key passes all the same: otherwise a client behind the
//! same proxy could lock out a control room by guessing. So this limit protects logs and processors. The length of the secrets
//! protects against guessing.
//!
//! `/health`, `/ready` and `/metrics` have no limit on requests. Neither have clients without a known address, such as a program that calls the
//! routes without a socket.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{ConnectInfo, Request};
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use strom_store::repository::Author;

use super::api_key::Caller;
use crate::http::respond::{Problem, ProblemKind};

/// Maximum burst of wrong keys from one address; after it, one per second. A page with an old key may send many requests at once.
const WRONG_KEYS: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");
/// Number of requests between two removals of idle clients.
const SWEEP_INTERVAL: u32 = 1024;

/// The limits of all clients. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Limits(Arc<Limiters>);

#[derive(Debug)]
struct Limiters {
    requests: Option<Limiter>,
    wrong_keys: Limiter,
}

/// A client with a limit of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    Key(Author),
    /// An IPv4 address, or the upper half of an IPv6 address.
    Address([u8; 8]),
}

impl Limits {
    /// Creates limits with this number of requests per second. `None` means no limit.
    pub(crate) fn new(rate: Option<NonZeroU32>) -> Self {
        let wrong_keys = Limiter::new(Quota::per_second(NonZeroU32::MIN).allow_burst(WRONG_KEYS));
        Self(Arc::new(Limiters { requests: rate.map(|rate| Limiter::new(Quota::per_second(rate))), wrong_keys }))
    }

    /// Counts a request. `caller` is `None` if the request has no valid key.
    pub(super) fn count_request(&self, request: &Request, caller: Option<&Caller>) -> Result<(), Problem> {
        let Some(limiter) = &self.0.requests else { return Ok(()) };
        let holder = caller.filter(|caller| caller.has_key()).map(|caller| Client::Key(caller.name.clone()));
        match holder.or_else(|| Client::of_address(request)) {
            Some(client) => limiter.count(&client, "requests"),
            None => Ok(()),
        }
    }

    /// Counts a wrong key.
    pub(super) fn count_wrong_key(&self, request: &Request) -> Result<(), Problem> {
        Client::of_address(request).map_or(Ok(()), |client| self.0.wrong_keys.count(&client, "wrong keys"))
    }
}

impl Client {
    fn of_address(request: &Request) -> Option<Self> {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        let mut address = [0; 8];
        match peer.ip().to_canonical() {
            // Only special IPv6 addresses have an upper half of zeros, so the two do not collide.
            IpAddr::V4(v4) => address[4..].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => address.copy_from_slice(&v6.octets()[..8]),
        }
        Some(Self::Address(address))
    }
}

/// The limit of each client.
#[derive(Debug)]
struct Limiter {
    clients: DefaultKeyedRateLimiter<Client>,
    counted: AtomicU32,
}

impl Limiter {
    fn new(quota: Quota) -> Self {
        Self { clients: RateLimiter::keyed(quota), counted: AtomicU32::new(0) }
    }

    /// Counts one request of a client. Regularly removes clients whose limit is unused, so that memory grows only with recent
    /// clients.
    fn count(&self, client: &Client, what: &str) -> Result<(), Problem> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % SWEEP_INTERVAL == SWEEP_INTERVAL - 1 {
            self.clients.retain_recent();
            self.clients.shrink_to_fit();
        }
        self.clients.check_key(client).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clients.clock().now());
            let interval = not_until.quota().replenish_interval();
            let detail = format!("the limit is {:.0} {what} per second per client", 1.0 / interval.as_secs_f64());
            Problem::new(ProblemKind::TooManyRequests, detail).retry_after(wait)
        })
    }
}
