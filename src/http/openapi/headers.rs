//! The headers of answers.

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

/// Of whatever has one revision.
pub(super) fn etag() -> Header {
    header("The revision of the flow, in quotes.", text("^\"[1-9][0-9]*\"$", "\"3\""))
}

/// Of what was created.
pub(super) fn location() -> Header {
    header("Where the flow is.", text("^/api/flows/[0-9a-f-]{36}$", "/api/flows/57130000-0000-4000-8000-000000000001"))
}

/// Of what passes by itself.
pub(super) fn retry_after() -> Header {
    header("So many seconds from now it may be otherwise. Absent when only the operator can help.", seconds(1))
}

/// Of reads while the storage is away.
pub(super) fn strom_stale() -> Header {
    let description = "The storage is away, and these are the flows as they were at most so many seconds ago.";
    header(description, seconds(0))
}

/// Of saves that are answered without a body.
pub(super) fn preference_applied() -> Header {
    header("The flow is left out, as `Prefer` asks.", text("^return=minimal$", "return=minimal"))
}

/// Of creates that were made before.
pub(super) fn idempotency_replayed() -> Header {
    header(
        "This create was made before, under the same `Idempotency-Key`; nothing was written.",
        text("^true$", "true"),
    )
}

/// Of refusals for want of a key.
pub(super) fn www_authenticate() -> Header {
    header("How to send a key.", text("^Bearer", "Bearer"))
}

/// Of every answer.
pub(super) fn x_request_id() -> Header {
    header(
        "What the log calls the request: what its sender calls it, or a fresh UUID.",
        text("^[!-~]{1,128}$", "deploy-7"),
    )
}
