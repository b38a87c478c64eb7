//! The state that all routes share.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::Bytes;
use strom_store::FlowRepository;
use tokio::sync::Semaphore;
use tower_http::metrics::in_flight_requests::InFlightRequestsCounter;

use super::extract::BodyBudget;
use super::feed::{Hub, Streams};
use super::guard::{Access, Hosts, Limits, Origins, TrustedProxies};
use super::respond::MemoryBudget;
use super::settings::Settings;
use super::storage::EditLocks;
use super::unreadable::Unreadable;
use crate::stack::Stack;

/// Maximum number of concurrent exports. Each one holds a snapshot of the storage, which is a connection in PostgreSQL.
pub(crate) const MAX_EXPORTS: usize = 2;
/// Maximum number of concurrent imports. Each one has a temporary file of up to 1 GiB.
pub(crate) const MAX_IMPORTS: usize = 2;

/// The state that all routes share. One pointer, because axum clones it several times per request.
#[derive(Clone)]
pub(crate) struct App(Arc<AppState>);

/// The content of an [`App`].
pub(crate) struct AppState {
    pub(crate) stack: Stack,
    pub(crate) access: Access,
    pub(crate) hosts: Hosts,
    pub(crate) origins: Origins,
    pub(crate) proxies: TrustedProxies,
    pub(crate) limits: Limits,
    pub(crate) in_flight: InFlightRequestsCounter,
    pub(crate) export_permits: Arc<Semaphore>,
    pub(crate) import_permits: Arc<Semaphore>,
    pub(crate) list_memory: MemoryBudget,
    pub(crate) body_budget: BodyBudget,
    /// Flows that requests omitted.
    pub(crate) unreadable: Unreadable,
    pub(crate) hub: Arc<Hub>,
    pub(crate) streams: Streams,
    pub(crate) edit_locks: EditLocks,
    /// The OpenAPI document as JSON.
    pub(crate) openapi_document: Bytes,
}

impl App {
    pub(crate) fn new(
        stack: Stack,
        access: Access,
        settings: Settings,
        in_flight: InFlightRequestsCounter,
        openapi_document: Bytes,
    ) -> Self {
        let Settings { hosts, rate_limit, origins, proxies, streams } = settings;
        let hub = Hub::new(Arc::clone(stack.repository()));
        Self(Arc::new(AppState {
            stack,
            access,
            hosts,
            origins,
            proxies,
            limits: Limits::new(rate_limit),
            in_flight,
            export_permits: Arc::new(Semaphore::new(MAX_EXPORTS)),
            import_permits: Arc::new(Semaphore::new(MAX_IMPORTS)),
            list_memory: MemoryBudget::default(),
            body_budget: BodyBudget::default(),
            unreadable: Unreadable::default(),
            hub,
            streams,
            edit_locks: EditLocks::default(),
            openapi_document,
        }))
    }

    pub(crate) fn repository(&self) -> &dyn FlowRepository {
        &**self.stack.repository()
    }
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}
