//! Open streams, counted by what they are.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What a stream is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StreamKind {
    /// Server-sent events.
    Events,
    /// A WebSocket.
    Socket,
    /// A page of changes that waits for one.
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

/// The streams of one server.
#[derive(Debug)]
pub(crate) struct Streams(Family<Labels, Gauge>);

impl Streams {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let open = Family::default();
        registry.register("http_streams", "Streams of changes that are open", open.clone());
        let streams = Self(open);
        // Shown from the start.
        StreamKind::ALL.into_iter().for_each(|kind| drop(streams.gauge(kind)));
        streams
    }

    /// A stream begins.
    pub(crate) fn open(&self, kind: StreamKind) -> OpenStream {
        let open = self.gauge(kind);
        open.inc();
        OpenStream(open)
    }

    fn gauge(&self, kind: StreamKind) -> Gauge {
        self.0.get_or_create_owned(&Labels { kind: kind.name() })
    }
}

/// A stream that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
