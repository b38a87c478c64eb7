//! What operations take beside their bodies: ids, headers, query parameters. The limits are those of the parsers.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Content, Required};

use super::super::{changes, history, idempotency, query};
use super::{examples, page};

/// `*`, or entity tags.
const TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$"#;
/// The name of a file.
const FILE: &str = "^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)+$";
/// Up to three keys, none twice.
const SORT: &str = "^(?!.*name.*name)(?!.*created.*created)(?!.*updated.*updated)\
                    -?(name|created_at|updated_at)(,-?(name|created_at|updated_at)){0,2}$";
/// Nothing, the beginning, or a place that was given out.
const PLACE: &str = r"^(0|[0-9]{1,19}\.[0-9]{1,19}\.[0-9]{1,19})?$";

macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident => [$($parameter:expr),+ $(,)?];)*) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$($parameter),+]
            }
        }
    )*};
}

parameters! {
    /// The flow in a path.
    Id => [path("id", "The flow.", text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))), examples::ID.into())];
    /// The revision in a path.
    OneRevision => [path("revision", "Which of its revisions.", number(1..=i64::MAX as u64), 1.into())];
    /// The file of a page.
    File => [path("file", "A file of the page.", one_of(&page::SERVED), "index.css".into())];
    /// A file of the console.
    ConsoleFile => [path("file", "A file of the page.", matching(FILE), "main.js".into())];
    /// A file in a folder of the console.
    ConsoleFolder => [
        path("folder", "A folder of the page.", matching("^[a-z]+$"), "views".into()),
        path("file", "A file of it.", matching(FILE), "list.js".into()),
    ];
    /// A file that is not known yet.
    IfPageChanged => [
        header("If-None-Match", "304 if the file still bears one of these tags; anything else is passed over.", text(), "\"0a1b\"".into()),
    ];
    /// A change of what is as expected.
    IfMatch => [
        header("If-Match", "Only if the flow is at one of these revisions.", matching(TAGS), "\"3\"".into()),
        prefer(),
    ];
    /// An edit that may be merged with those of others.
    Merged => [
        query(
            "merge",
            "`auto`: when the flow is at a later revision than the one tag of `If-Match`, both edits are merged where they go \
             together.",
            one_of(&["auto"]),
            "auto".into(),
        ),
    ];
    /// The same of a `PUT`, which may create.
    IfNoneMatch => [
        header("If-None-Match", "`*`: only if there is no such flow, and then it is created.", one_of(&["*"]), "*".into()),
    ];
    /// A deletion of what is as expected.
    DeleteIfMatch => [
        header("If-Match", "Only if the flow is at one of these revisions.", matching(TAGS), "\"3\"".into()),
    ];
    /// A read of what is not known yet.
    IfChanged => [
        header("If-None-Match", "304 if the flow is at one of these revisions.", matching(TAGS), "\"3\"".into()),
    ];
    /// A create that may be sent again.
    Once => [
        header(
            "Idempotency-Key",
            "A name for this create: sent again under it, it creates nothing again.",
            text().min_length(Some(1)).max_length(Some(idempotency::LONGEST)),
            "c0ffee".into(),
        ),
        prefer(),
    ];
    /// Which flows.
    Filter => [
        query("state", "Those in this state.", one_of(&["Null", "Ready", "Paused", "Playing"]), "Playing".into()),
        query("auto_restart", "Those that do, or do not, start by themselves.", boolean(), true.into()),
        query("name", "Those with this in their name, in any case.", matching("^[^\\u0000]*$"), "studio".into()),
        containment(),
    ];
    /// In which order, how many, how much of each.
    Listing => [
        query("sort", "By these, one after the other; `-` turns one round. Then by id.", matching(SORT), "-updated_at,name".into()),
        query("limit", "At most so many; all, when nobody says.", number(1..=u64::from(query::MAX_LIMIT)), 20.into()),
        query("cursor", "The `next_cursor` of the page before, of the same `sort`.", text().format(custom("flow-cursor")), examples::cursor()),
        query("count", "Whether to count all that pass the filter.", boolean(), true.into()),
        query("view", "Whole documents, or what is known of them.", one_of(&["full", "summary"]), "summary".into()),
    ];
    /// What an export leaves out.
    Secrets => [
        query("secrets", "Whether passphrases and the like are in it.", one_of(&["kept", "redacted"]), "redacted".into()),
    ];
    /// How an import is made.
    Import => [
        query(
            "on_conflict",
            "What happens to a flow whose id has another content: all is refused, it is skipped, it replaces, it replaces \
             what is older, or it gets an id of its own.",
            one_of(&["fail", "skip", "replace", "newer", "clone"]),
            "skip".into(),
        ),
        query("dry_run", "Whether to say what would come of it, and store nothing.", boolean(), true.into()),
    ];
    /// Which part of a history.
    HistoryPart => [
        query("before", "Only those before this revision.", number(1..=i64::MAX as u64), 3.into()),
        query("limit", "At most so many; 50, when nobody says.", number(1..=u64::from(history::LIMIT.0)), 20.into()),
    ];
    /// From which revision to which.
    TwoRevisions => [
        query(
            "from",
            "Since this revision; since the one before `to`, when nobody says.",
            number(1..=i64::MAX as u64),
            2.into(),
        ),
        query("to", "Up to this revision; up to the last, when nobody says.", number(1..=i64::MAX as u64), 3.into()),
    ];
    /// Which part of the feed.
    FeedPart => [
        query(
            "since",
            "Those behind this place: the `next` of the page before, or `0` for the oldest kept. Without it, those to come.",
            matching(PLACE).format(custom("feed-cursor")),
            "0".into(),
        ),
        query("limit", "At most so many; 100, when nobody says.", number(1..=u64::from(changes::LIMIT.0)), 20.into()),
        query("wait", "So many seconds at most for a change, when there is none.", number(0..=changes::LONGEST_WAIT), 0.into()),
        query("documents", "Whether each change carries its flow.", boolean(), true.into()),
        header("Last-Event-ID", "With `Accept: text/event-stream`: the place behind which to go on, instead of `since`.", text(), "7.0.12".into()),
    ];
    /// What makes a WebSocket of a request (RFC 6455, section 4.1).
    Handshake => [
        required_header("Connection", "It becomes another.", one_of(&["Upgrade"]), "Upgrade".into()),
        required_header("Upgrade", "A WebSocket.", one_of(&["websocket"]), "websocket".into()),
        required_header("Sec-WebSocket-Version", "Of RFC 6455.", one_of(&["13"]), "13".into()),
        required_header("Sec-WebSocket-Key", "16 bytes in base64.", text(), "dGhlIHNhbXBsZSBub25jZQ==".into()),
    ];
}

/// Preferences that are not known are passed over (RFC 7240).
fn prefer() -> Parameter {
    header("Prefer", "`return=minimal`: the answer has no body.", text(), "return=minimal".into())
}

/// JSON in a query parameter.
fn containment() -> Parameter {
    let anything = Content::builder().schema(Some(ObjectBuilder::new().schema_type(Type::Object)));
    let example = json!({ "blocks": [{ "block_definition_id": "builtin.inter_output" }] });
    let mut parameter =
        parameter("contains", "Those whose document contains this (PostgreSQL's `@>`).", ParameterIn::Query);
    parameter.content = [("application/json".to_owned(), anything.example(Some(example)).build().into())].into();
    parameter
}

fn parameter(name: &str, description: &str, place: ParameterIn) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.description(Some(description)).build()
}

fn simple(name: &str, description: &str, place: ParameterIn, schema: ObjectBuilder, example: Value) -> Parameter {
    let parameter = ParameterBuilder::from(parameter(name, description, place));
    parameter.schema(Some(schema)).example(Some(example)).build()
}

fn path(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    simple(name, description, ParameterIn::Path, schema, example)
}

fn query(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    simple(name, description, ParameterIn::Query, schema, example)
}

fn header(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    simple(name, description, ParameterIn::Header, schema, example)
}

fn required_header(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    ParameterBuilder::from(header(name, description, schema, example)).required(Required::True).build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn matching(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

fn one_of(values: &[&str]) -> ObjectBuilder {
    text().enum_values(Some(values.iter().copied()))
}

fn boolean() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

fn number(bounds: RangeInclusive<u64>) -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    number.minimum(Some(*bounds.start())).maximum(Some(*bounds.end()))
}

fn custom(format: &str) -> Option<SchemaFormat> {
    Some(SchemaFormat::Custom(format.to_owned()))
}
