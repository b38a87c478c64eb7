//! Descriptions of path parameters, headers and query parameters. The limits are the constants of the parsers.

use utoipa::openapi::schema::{KnownFormat, SchemaFormat};

use super::parameter_builders::{
    boolean, custom, describe_parameters, header, matching, number, one_of, path, query, required_header, text,
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
const TRASH_POSITION: &str = r"^-?[0-9]{1,18}\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

describe_parameters! {
    /// The id in a path.
    Id => [path("id", "The id of the \
                       flow.", text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))), examples::ID.into())];
    /// The revision in a path.
    RevisionNumber => [path("revision", "The revision.", number(1..=i64::MAX as u64), 1.into())];
    /// The precondition of a change.
    IfMatch => [
        header("If-Match", "The request fails with 412 unless the flow is at one of these \
                            revisions.", matching(TAGS)),
    ];
    /// The merge of an edit.
    MergeMode => [
        query(
            "merge",
            "`auto`: if the flow is at a later revision than `If-Match`, the server merges both edits. It fails with \
             412 if they conflict.",
            one_of(&["auto"])),
    ];
    /// The precondition of a create.
    IfNoneMatch => [
        header("If-None-Match", "`*`: creates the flow. The request fails with 412 if the flow \
                                 exists.", one_of(&["*"])),
    ];
    /// A conditional read.
    IfChanged => [
        header("If-None-Match", "The response is 304 if the flow is at one of these \
                                 revisions.", matching(TAGS)),
    ];
    /// A conditional read of a list.
    IfListChanged => [
        header("If-None-Match", "The response is 304 if the list has one of these entity \
                                 tags.", matching(TAGS)),
    ];
    /// The filters of a list.
    FilterParameters => [
        query("state", "Only flows in this state.", one_of(&["Null", "Ready", "Paused", "Playing"])),
        query("auto_restart", "Only flows with (or without) automatic restart.", boolean()),
        query("name", "Only flows whose name contains this text \
                       (case-insensitive).", matching("^[^\\u0000]*$")),
        // A string and no `content`: generators of clients do not know parameters with a media type.
        query("contains", "Only flows whose document contains this JSON object (semantics of PostgreSQL's \
                           `@>`).", text().format(custom("json-object"))),
    ];
    /// The order, the page and the view of a list.
    ListParameters => [
        query("sort", "The sort keys, comma-separated. `-` reverses a key. The last key is always the \
                       id.", matching(SORT)),
        query("limit", "Maximum number of flows. Default: all.", number(1..=u64::from(query::MAX_LIMIT))),
        query("cursor", "The `next_cursor` of the previous page with the same \
                         `sort`.", text().format(custom("flow-cursor"))),
        query("count", "Whether to return the number of all flows that match the filters.", boolean()),
        query("view", "Complete documents or summaries.", one_of(&["full", "summary"])),
    ];
    /// The redaction of an export.
    ExportParameters => [
        query("secrets", "Whether the export contains secrets such as \
                          passphrases.", one_of(&["kept", "redacted"])),
    ];
    /// The options of an import.
    ImportParameters => [
        query(
            "on_conflict",
            "Policy for a flow whose id exists with different content: reject the import, skip the flow, replace the \
             existing flow, replace it if it is older, or import under a new id.",
            one_of(&["fail", "skip", "replace", "newer", "clone"])),
        query("dry_run", "Whether to return the report without storing anything.", boolean()),
    ];
    /// A part of a history.
    HistoryParameters => [
        query("before", "Only revisions before this one.", number(1..=i64::MAX as u64)),
        query("limit", "Maximum number of revisions. Default: \
                        50.", number(1..=u64::from(history::MAX_LIMIT))),
    ];
    /// A page of the trash.
    TrashParameters => [
        query("limit", "Maximum number of deleted flows. Default: \
                        all.", number(1..=u64::from(trash::MAX_LIMIT))),
        query("cursor", "The `next_cursor` of the previous page.", matching(TRASH_POSITION)),
    ];
    /// Two revisions to compare.
    DiffParameters => [
        query(
            "from",
            "The older revision. Default: the one before `to`.",
            number(1..=i64::MAX as u64)),
        query("to", "The newer revision. Default: the last one.", number(1..=i64::MAX as u64)),
    ];
    /// A part of the change feed.
    ChangesParameters => [
        query(
            "since",
            "Only changes after this cursor: the `next` of the previous page, or `0` for the oldest retained change. \
             Default: now.",
            matching(FEED_POSITION).format(custom("feed-cursor"))),
        query("limit", "Maximum number of changes. Default: \
                        100.", number(1..=u64::from(changes::MAX_LIMIT))),
        query("wait", "Maximum number of seconds to wait for a change.", number(0..=changes::MAX_WAIT)),
        query("documents", "Whether each change contains its flow.", boolean()),
        header("Last-Event-ID", "With `Accept: text/event-stream`: the cursor to continue after, instead of \
                                 `since`.", text()),
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
