//! The answers that are no success: which [`Kind`]s an operation may answer with, and what they look like.
//!
//! An operation names sets of them: `Problems<(OnFlow, Reads)>`. Kinds of one status become one response, whose schema
//! allows these types alone and whose examples are what the server really sends.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::example::Example;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, SchemaType};
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::super::problem::{Kind, MEDIA_TYPE, Problem};
use super::{examples, headers};

/// Kinds of problems that come together.
pub(in crate::http) trait Kinds {
    /// All of them.
    fn kinds() -> Vec<Kind>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $set:ident: $($kind:ident),+;)*) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $set;

        impl Kinds for $set {
            fn kinds() -> Vec<Kind> {
                vec![$(Kind::$kind),+]
            }
        }
    )*};
}

kinds! {
    /// Of a path under which there is nothing.
    NoEntry: NoSuchRoute;
    /// Of a path that names a flow.
    OnFlow: InvalidId, NoSuchFlow;
    /// Of a path that names a flow which need not be there.
    OnId: InvalidId;
    /// Of query parameters.
    Parameters: InvalidParameter;
    /// Of the headers that state conditions or name a create.
    Headers: InvalidHeader;
    /// Of a change under a condition.
    Conditional: InvalidHeader, PreconditionFailed;
    /// Of a body, and of what it says.
    Bodies: InvalidBody, SlowBody, TooLarge, UnsupportedMediaType, Refused;
    /// Of a body that has to have the id of the path.
    SameId: IdMismatch;
    /// Of a create.
    Creates: FlowExists, KeyReused;
    /// Of an import, beside what its flows are refused for.
    Imports: InvalidHeader, InvalidBody, SlowBody, TooLarge, UnsupportedMediaType, FlowsExist, FlowsRefused;
    /// Of a patch.
    Patches: PatchConflict;
    /// Of what is read of the past.
    Past: NoSuchRevision;
    /// Of a place in the feed.
    Place: Gone;
    /// Of a WebSocket.
    Sockets: InvalidHeader, ForeignOrigin;
    /// Of what stays open.
    Streams: TooManyStreams;
    /// Of what only an engine can do.
    Engine: NoEngine, ReadOnlyKey, ForeignOrigin;
    /// Of everything that asks the storage.
    Reads: Unavailable, Busy, Corrupt, Internal;
    /// Of everything that changes it.
    Writes: Unavailable, Busy, Corrupt, Internal, ReadOnly, ReadOnlyInstance, ReadOnlyKey, ForeignOrigin, NoRoom;
}

macro_rules! tuples {
    ($($($set:ident)+;)*) => {$(
        impl<$($set: Kinds),+> Kinds for ($($set,)+) {
            fn kinds() -> Vec<Kind> {
                [$($set::kinds()),+].concat()
            }
        }
    )*};
}

tuples! {
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
}

/// The responses of these kinds.
pub(in crate::http) struct Problems<K>(std::marker::PhantomData<K>);

impl<K: Kinds> IntoResponses for Problems<K> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&K::kinds())
    }
}

/// One response for each status.
pub(super) fn responses(kinds: &[Kind]) -> BTreeMap<String, RefOr<Response>> {
    let mut of_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in kinds {
        let same = of_status.entry(kind.status().as_u16()).or_default();
        if !same.contains(kind) {
            same.push(*kind);
        }
    }
    of_status.into_iter().map(|(status, kinds)| (status.to_string(), response(&kinds).into())).collect()
}

fn response(kinds: &[Kind]) -> Response {
    let titles: Vec<_> = kinds.iter().map(|kind| kind.title()).collect();
    let response = ResponseBuilder::new().description(titles.join("; ")).content(MEDIA_TYPE, content(kinds));
    // What passes by itself says when to come again.
    match kinds.iter().any(passes) {
        true => response.header("Retry-After", headers::retry_after()).build(),
        false => response.build(),
    }
}

fn passes(kind: &Kind) -> bool {
    matches!(kind, Kind::Unavailable | Kind::Busy | Kind::TooManyStreams | Kind::TooManyRequests)
}

fn content(kinds: &[Kind]) -> Content {
    let types = kinds.iter().map(|kind| Value::from(kind.uri()));
    let types = ObjectBuilder::new().schema_type(SchemaType::AnyValue).enum_values(Some(types));
    let status = kinds.first().map(|kind| Value::from(kind.status().as_u16()));
    let status = ObjectBuilder::new().schema_type(SchemaType::AnyValue).enum_values(Some(status));
    let these =
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).property("type", types).property("status", status);
    let mut schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(these);
    if kinds.iter().all(is_of_flows) {
        schema = schema.item(Ref::from_schema_name("ImportReport"));
    }
    let examples = kinds.iter().map(|kind| (kind.slug(), example(*kind)));
    ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build()
}

/// Whether the flows of an import are reported with it.
fn is_of_flows(kind: &Kind) -> bool {
    matches!(kind, Kind::FlowsExist | Kind::FlowsRefused)
}

fn example(kind: Kind) -> Example {
    let body = Problem::new(kind, kind.title()).document();
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| json!({}));
    if let (true, Value::Object(body), Value::Object(report)) = (is_of_flows(&kind), &mut body, examples::refused()) {
        body.extend(report);
    }
    let mut example = Example::new();
    example.summary = kind.title().to_owned();
    example.value = Some(body);
    example
}
