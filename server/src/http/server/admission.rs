//! Which connections the server accepts, and which it closes when all places are taken.
//!
//! A client that opens connections and sends nothing must not exclude others. So a new connection replaces an idle one: first one
//! that has never sent a request, otherwise one between two requests. If all connections serve requests, a few reserved places
//! remain for monitoring.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_http::metrics::in_flight_requests::InFlightRequestsCounter;

/// Interval of looking for an idle connection while all places are taken.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The places for connections.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    /// The connections whose tasks run, oldest first.
    open: Mutex<BTreeMap<u64, Arc<Activity>>>,
    next: AtomicU64,
}

/// What a connection does.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Whether the place is reserved for monitoring.
    pub(super) is_reserved: bool,
    /// Whether the head of a request was complete.
    pub(super) has_served: AtomicBool,
    /// The number of running requests: 0 or 1.
    pub(super) in_flight: InFlightRequestsCounter,
    /// Asks the task to close the connection.
    pub(super) close: CancellationToken,
}

impl Activity {
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }
}

/// A registered connection, until its task ends.
#[derive(Debug)]
pub(super) struct Registered {
    admission: Arc<Admission>,
    number: u64,
    pub(super) activity: Arc<Activity>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.admission.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Admission {
    pub(super) fn new(places: usize, reserve: usize) -> Arc<Self> {
        let [places, reserve] = [places, reserve].map(|permits| Arc::new(Semaphore::new(permits)));
        Arc::new(Self { places, reserve, open: Mutex::default(), next: AtomicU64::default() })
    }

    /// Waits for a place. The permit belongs to the stream, because a WebSocket outlives the task.
    pub(super) async fn admit(self: &Arc<Self>) -> (Registered, OwnedSemaphorePermit) {
        loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                return (self.register(false), permit);
            }
            let closes = self.close_idle();
            if !closes && let Ok(permit) = Arc::clone(&self.reserve).try_acquire_owned() {
                return (self.register(true), permit);
            }
            let freed = timeout(RETRY_INTERVAL, Arc::clone(&self.places).acquire_owned());
            if let Ok(permit) = freed.await {
                return (self.register(false), permit.expect("nothing closes the semaphore"));
            }
        }
    }

    fn register(self: &Arc<Self>, is_reserved: bool) -> Registered {
        let activity = Arc::new(Activity { is_reserved, ..Activity::default() });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&activity));
        Registered { admission: Arc::clone(self), number, activity }
    }

    /// Asks an idle connection to close. Returns `false` if no connection is idle.
    fn close_idle(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = open
            .values()
            .filter(|activity| !activity.is_reserved && activity.is_idle() && !activity.close.is_cancelled());
        let first = idle.clone().next();
        let silent = idle.find(|activity| !activity.has_served.load(Ordering::Relaxed));
        let Some(activity) = silent.or(first) else { return false };
        activity.close.cancel();
        true
    }
}
