//! Descriptions of path parameters, headers and query parameters. The limits are the constants of the parsers.

use serde_json::json;
use utoipa::openapi::Content;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::parameter_builders::{
    boolean, custom, describe_parameters, header, matching, number, one_of, parameter, path, query, required_header,
    text,
};
use super::query::{self, changes, history, trash};
use crate::http::respond::description::examples;

/// `*` or entity tags.
const TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$"#;
/// At most three keys, none twice.
const SORT: &str = "^(?!.*name.*name)(?!.*created.*created)(?!.*updated.*updated)\
                    -?(name|created_at|updated_at)(,-?(name|created_at|updated_at)){0,2}$";
/// Nothing, `0` or a cursor of the change feed.
const FEED_POSITION: &str = r"^(0|[0-9]{1,19}\.[0-9]{1,19}\.[0-9]{1,19})?$";

/// A cursor of the trash.
const TRASH_POSITION: &str = r"^-?[0-9]{1,18}\.[0-9a-f-]{36}$";

describe_parameters! {
    /// The id in a path.
    Id => [path("id", "The id of the \
                       flow.", text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))), examples::ID.into())];
    /// The revision in a path.
    RevisionNumber => [path("revision", "The revision.", number(1..=i64::MAX as u64), 1.into())];
    /// The precondition of a change.
    IfMatch => [
        header("If-Match", "The request fails with 412 unless the flow is at one of these \
                            revisions.", matching(TAGS), "\"3\"".into()),
    ];
    /// The merge of an edit.
    MergeMode => [
        query(
            "merge",
            "`auto`: if the flow is at a later revision than `If-Match`, the server merges both edits. It fails with \
             412 if they conflict.",
            one_of(&["auto"]),
            "auto".into(),
        ),
    ];
    /// The precondition of a create.
    IfNoneMatch => [
        header("If-None-Match", "`*`: creates the flow. The request fails with 412 if the flow \
                                 exists.", one_of(&["*"]), "*".into()),
    ];
    /// A conditional read.
    IfChanged => [
        header("If-None-Match", "The response is 304 if the flow is at one of these \
                                 revisions.", matching(TAGS), "\"3\"".into()),
    ];
    /// The filters of a list.
    FilterParameters => [
        query("state", "Only flows in this state.", one_of(&["Null", "Ready", "Paused", "Playing"]), "Playing".into()),
        query("auto_restart", "Only flows with (or without) automatic restart.", boolean(), true.into()),
        query("name", "Only flows whose name contains this text \
                       (case-insensitive).", matching("^[^\\u0000]*$"), "studio".into()),
        containment(),
    ];
    /// The order, the page and the view of a list.
    ListParameters => [
        query("sort", "The sort keys, comma-separated. `-` reverses a key. The last key is always the \
                       id.", matching(SORT), "-updated_at,name".into()),
        query("limit", "Maximum number of flows. Default: all.", number(1..=u64::from(query::MAX_LIMIT)), 20.into()),
        query("cursor", "The `next_cursor` of the previous page with the same \
                         `sort`.", text().format(custom("flow-cursor")), examples::cursor()),
        query("count", "Whether to return the number of all flows that match the filters.", boolean(), true.into()),
        query("view", "Complete documents or summaries.", one_of(&["full", "summary"]), "summary".into()),
    ];
    /// The redaction of an export.
    ExportParameters => [
        query("secrets", "Whether the export contains secrets such as \
                          passphrases.", one_of(&["kept", "redacted"]), "redacted".into()),
    ];
    /// The options of an import.
    ImportParameters => [
        query(
            "on_conflict",
            "Policy for a flow whose id exists with different content: reject the import, skip the flow, replace the \
             existing flow, replace it if it is older, or import under a new id.",
            one_of(&["fail", "skip", "replace", "newer", "clone"]),
            "skip".into(),
        ),
        query("dry_run", "Whether to return the report without storing anything.", boolean(), true.into()),
    ];
    /// A part of a history.
    HistoryParameters => [
        query("before", "Only revisions before this one.", number(1..=i64::MAX as u64), 3.into()),
        query("limit", "Maximum number of revisions. Default: \
                        50.", number(1..=u64::from(history::MAX_LIMIT)), 20.into()),
    ];
    /// A page of the trash.
    TrashParameters => [
        query("limit", "Maximum number of deleted flows. Default: \
                        all.", number(1..=u64::from(trash::MAX_LIMIT)), 20.into()),
        query("cursor", "The `next_cursor` of the previous page.", matching(TRASH_POSITION), "1774000000000000.00000000-0000-4000-8000-0000000000a1".into()),
    ];
    /// Two revisions to compare.
    DiffParameters => [
        query(
            "from",
            "The older revision. Default: the one before `to`.",
            number(1..=i64::MAX as u64),
            2.into(),
        ),
        query("to", "The newer revision. Default: the last one.", number(1..=i64::MAX as u64), 3.into()),
    ];
    /// A part of the change feed.
    ChangesParameters => [
        query(
            "since",
            "Only changes after this cursor: the `next` of the previous page, or `0` for the oldest retained change. \
             Default: now.",
            matching(FEED_POSITION).format(custom("feed-cursor")),
            "0".into(),
        ),
        query("limit", "Maximum number of changes. Default: \
                        100.", number(1..=u64::from(changes::MAX_LIMIT)), 20.into()),
        query("wait", "Maximum number of seconds to wait for a change.", number(0..=changes::MAX_WAIT), 0.into()),
        query("documents", "Whether each change contains its flow.", boolean(), true.into()),
        header("Last-Event-ID", "With `Accept: text/event-stream`: the cursor to continue after, instead of \
                                 `since`.", text(), "7.0.12".into()),
    ];
    /// The headers of a WebSocket handshake (RFC 6455, section 4.1).
    Handshake => [
        required_header("Connection", "Requests the upgrade of the \
                                       connection.", one_of(&["Upgrade"]), "Upgrade".into()),
        required_header("Upgrade", "Requests a WebSocket.", one_of(&["websocket"]), "websocket".into()),
        required_header("Sec-WebSocket-Version", "The protocol version of RFC 6455.", one_of(&["13"]), "13".into()),
        required_header("Sec-WebSocket-Key", "16 bytes in base64.", text(), "dGhlIHNhbXBsZSBub25jZQ==".into()),
    ];
}

/// Describes a query parameter that contains JSON.
fn containment() -> Parameter {
    let anything = Content::builder().schema(Some(ObjectBuilder::new().schema_type(Type::Object)));
    let example = json!({ "blocks": [{ "block_definition_id": "builtin.inter_output" }] });
    let mut parameter = parameter(
        "contains",
        "Only flows whose document contains this JSON (semantics of PostgreSQL's `@>`).",
        ParameterIn::Query,
    );
    parameter.content = [("application/json".to_owned(), anything.example(Some(example)).build().into())].into();
    parameter
}
