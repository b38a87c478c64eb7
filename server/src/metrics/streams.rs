//! Open streams, counted by kind.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The kind of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StreamKind {
    /// Server-sent events.
    Events,
    /// A WebSocket.
    Socket,
    /// A long-polling request for changes.
    Poll,
}

impl StreamKind {
    const ALL: [Self; 3] = [Self::Events, Self::Socket, Self::Poll];

    const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Socket => "socket",
            Self::Poll => "poll",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
}

/// The gauges of open streams.
#[derive(Debug)]
pub(crate) struct Streams(Family<Labels, Gauge>);

impl Streams {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let open = Family::default();
        registry.register("http_streams", "Open change streams", open.clone());
        let streams = Self(open);
        // Registers all gauges at zero.
        StreamKind::ALL.into_iter().for_each(|kind| drop(streams.gauge(kind)));
        streams
    }

    /// Counts a stream as open until the returned value is dropped.
    pub(crate) fn open(&self, kind: StreamKind) -> OpenStream {
        let open = self.gauge(kind);
        open.inc();
        OpenStream(open)
    }

    fn gauge(&self, kind: StreamKind) -> Gauge {
        self.0.get_or_create_owned(&Labels { kind: kind.name() })
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
