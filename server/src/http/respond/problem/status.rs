//! The kinds of problems: a table of status codes, types and titles.

use axum::http::StatusCode;

/// A kind of problem. Each kind has one status code, one type and one title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    InvalidId,
    InvalidParameter,
    InvalidHeader,
    InvalidBody,
    IdMismatch,
    NoSuchFlow,
    NoSuchRevision,
    NoSuchRoute,
    MethodNotAllowed,
    SlowBody,
    Gone,
    FlowExists,
    FlowsExist,
    PatchConflict,
    PreconditionFailed,
    TooLarge,
    UnsupportedMediaType,
    Refused,
    FlowsRefused,
    Internal,
    Corrupt,
    NoEngine,
    Unavailable,
    Busy,
    TooManyStreams,
    ReadOnly,
    ReadOnlyInstance,
    NoRoom,
    ForeignOrigin,
    Misdirected,
    ReadOnlyKey,
    TooManyRequests,
    MalformedRequest,
    HeadTooLarge,
    UriTooLong,
    TooManyConnections,
}

impl ProblemKind {
    /// Returns the status code, the type and the title.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidId => (StatusCode::BAD_REQUEST, "invalid-id", "invalid flow id"),
            Self::InvalidParameter => (StatusCode::BAD_REQUEST, "invalid-parameter", "invalid query parameter"),
            Self::InvalidHeader => (StatusCode::BAD_REQUEST, "invalid-header", "invalid header"),
            Self::InvalidBody => (StatusCode::BAD_REQUEST, "invalid-body", "invalid body"),
            Self::IdMismatch => (StatusCode::BAD_REQUEST, "id-mismatch", "the ids in body and path differ"),
            Self::NoSuchFlow => (StatusCode::NOT_FOUND, "no-such-flow", "no such flow"),
            Self::NoSuchRevision => (StatusCode::NOT_FOUND, "no-such-revision", "no such revision"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "no such route"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "slow-body", "timeout while reading the body"),
            Self::Gone => (StatusCode::GONE, "gone", "the changes are no longer retained"),
            Self::FlowExists => (StatusCode::CONFLICT, "flow-exists", "the flow already exists"),
            Self::FlowsExist => (StatusCode::CONFLICT, "flows-exist", "flows of the import exist"),
            Self::PatchConflict => (StatusCode::CONFLICT, "patch-conflict", "the patch does not apply to the flow"),
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "the precondition failed")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "unsupported media type")
            }
            Self::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "refused", "the document cannot be stored"),
            Self::FlowsRefused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "flows-refused", "flows of the import cannot be stored")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error"),
            Self::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt", "stored data cannot be read"),
            Self::NoEngine => (StatusCode::NOT_IMPLEMENTED, "no-engine", "this build has no engine"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the storage is not available"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "the storage is busy"),
            Self::TooManyStreams => (StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", "too many streams are open"),
            Self::ReadOnly => (StatusCode::SERVICE_UNAVAILABLE, "read-only", "the storage is read-only"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign-origin", "cross-origin request rejected"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected", "host name not accepted"),
            Self::ReadOnlyKey => (StatusCode::FORBIDDEN, "read-only-key", "the API key is read-only"),
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "too many requests"),
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed-request", "malformed request"),
            Self::HeadTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "the head of the request is too large")
            }
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri-too-long", "the URL is too long"),
            Self::TooManyConnections => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-many-connections", "all connections are in use")
            }
            Self::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "no-room", "ephemeral flows exceed the memory limit"),
            Self::ReadOnlyInstance => (StatusCode::FORBIDDEN, "read-only-instance", "this instance is read-only"),
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        self.parts().0
    }

    pub(crate) fn slug(self) -> &'static str {
        self.parts().1
    }

    pub(crate) fn title(self) -> &'static str {
        self.parts().2
    }

    /// Returns the member `type`.
    pub(crate) fn uri(self) -> String {
        format!("urn:strom:problem:{}", self.slug())
    }
}
