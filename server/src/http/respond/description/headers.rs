//! Headers of responses.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};

fn header(description: &str, schema: ObjectBuilder) -> Header {
    HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
}

fn text(pattern: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example])
}

fn seconds(minimum: u64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(minimum)).examples([2])
}

/// `ETag` of a flow.
pub(crate) fn etag() -> Header {
    header(
        "The revision of the flow, in quotes. Weak if the response is compressed.",
        text("^(W/)?\"[1-9][0-9]*\"$", "\"3\""),
    )
}

/// `ETag` of a list.
pub(crate) fn list_etag() -> Header {
    header(
        "A hash of the list, in quotes. Weak if the response is compressed.",
        text("^(W/)?\"list-[0-9a-f]{16}\"$", "\"list-0123456789abcdef\""),
    )
}

/// `Last-Modified` of a list.
pub(crate) fn last_modified() -> Header {
    header(
        "The time of the latest change of an item in the list. Absent if the list is empty.",
        text("GMT$", "Thu, 19 Mar 2026 12:30:00 GMT"),
    )
}

/// `Location` of a created flow.
pub(crate) fn location() -> Header {
    header(
        "The path of the flow.",
        text("^/api/flows/[0-9a-f-]{36}$", "/api/flows/57130000-0000-4000-8000-000000000001"),
    )
}

/// `Retry-After` of a temporary problem.
pub(crate) fn retry_after() -> Header {
    header("Seconds until a retry may succeed. Absent if only the operator can resolve the problem.", seconds(1))
}

/// `Strom-Stale` of reads during an outage.
pub(crate) fn strom_stale() -> Header {
    let description = "Maximum age of the data in seconds. Present only during an outage of the storage.";
    header(description, seconds(0))
}

/// `WWW-Authenticate` of a request without a valid key.
pub(crate) fn www_authenticate() -> Header {
    header("The scheme for sending a key.", text("^Bearer", "Bearer"))
}

/// `X-Request-Id` of every response.
pub(crate) fn x_request_id() -> Header {
    header(
        "The id of the request in the log: the value that the client sent, or a new UUID.",
        text("^[!-~]{1,128}$", "deploy-7"),
    )
}
