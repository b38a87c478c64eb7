//! What can go wrong: the table of statuses, types and titles.

use axum::http::StatusCode;

/// What went wrong. Each kind has one status, one type and one title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kind {
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
    KeyReused,
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
}

impl Kind {
    /// Status, type and title.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidId => (StatusCode::BAD_REQUEST, "invalid-id", "not the id of a flow"),
            Self::InvalidParameter => (StatusCode::BAD_REQUEST, "invalid-parameter", "a query parameter is wrong"),
            Self::InvalidHeader => (StatusCode::BAD_REQUEST, "invalid-header", "a header field is wrong"),
            Self::InvalidBody => (StatusCode::BAD_REQUEST, "invalid-body", "the body is not JSON"),
            Self::IdMismatch => (StatusCode::BAD_REQUEST, "id-mismatch", "the body and the path name different flows"),
            Self::NoSuchFlow => (StatusCode::NOT_FOUND, "no-such-flow", "no such flow"),
            Self::NoSuchRevision => (StatusCode::NOT_FOUND, "no-such-revision", "no such revision"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "no such route"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "slow-body", "the body took too long"),
            Self::Gone => (StatusCode::GONE, "gone", "the changes are no longer kept"),
            Self::FlowExists => (StatusCode::CONFLICT, "flow-exists", "the flow exists already"),
            Self::FlowsExist => (StatusCode::CONFLICT, "flows-exist", "flows of the import exist already"),
            Self::PatchConflict => (StatusCode::CONFLICT, "patch-conflict", "the patch does not fit the flow"),
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "the flow is not as you expect it")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "unsupported media type")
            }
            Self::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "refused", "the document cannot be stored"),
            Self::FlowsRefused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "flows-refused", "flows of the import cannot be stored")
            }
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "the idempotency key was used before"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error"),
            Self::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt", "stored data cannot be read"),
            Self::NoEngine => (StatusCode::NOT_IMPLEMENTED, "no-engine", "this build has no engine"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the storage is not available"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "the storage is busy"),
            Self::TooManyStreams => (StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", "too many streams are open"),
            Self::ReadOnly => (StatusCode::SERVICE_UNAVAILABLE, "read-only", "the storage is read-only"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign-origin", "the page of a stranger"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected", "not a name of this server"),
            Self::ReadOnlyKey => (StatusCode::FORBIDDEN, "read-only-key", "this key only reads"),
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "too many requests"),
            Self::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "no-room", "no room for ephemeral flows"),
            Self::ReadOnlyInstance => (StatusCode::FORBIDDEN, "read-only-instance", "this instance only reads"),
        }
    }
}

/// What the OpenAPI document says of them.
impl Kind {
    pub(in crate::http) fn status(self) -> StatusCode {
        self.parts().0
    }

    pub(in crate::http) fn slug(self) -> &'static str {
        self.parts().1
    }

    pub(in crate::http) fn title(self) -> &'static str {
        self.parts().2
    }

    /// The member `type`.
    pub(in crate::http) fn uri(self) -> String {
        format!("urn:strom:problem:{}", self.slug())
    }
}
