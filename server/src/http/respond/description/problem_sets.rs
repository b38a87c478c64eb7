//! The problems that each operation may return.
//!
//! An operation names sets of [`ProblemKind`]s: `Problems<(OnFlow, Reads)>`. Kinds with the same status become one response. Its
//! examples are bodies that the server really sends.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::example::Example;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::{examples, headers};
use crate::http::respond::problem::{MEDIA_TYPE, Problem, ProblemKind};

/// A set of kinds of problems.
pub(crate) trait Kinds {
    /// Returns all kinds of the set.
    fn kinds() -> Vec<ProblemKind>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $set:ident: $($kind:ident),+;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $set;

        impl Kinds for $set {
            fn kinds() -> Vec<ProblemKind> {
                vec![$(ProblemKind::$kind),+]
            }
        }
    )*};
}

kinds! {
    /// Of a path without a file.
    NoEntry: NoSuchRoute;
    /// Of a path that names a flow.
    OnFlow: InvalidId, NoSuchFlow;
    /// Of a path that names a flow. The flow may be missing.
    OnId: InvalidId;
    /// Of query parameters.
    Parameters: InvalidParameter;
    /// Of the headers with preconditions.
    Headers: InvalidHeader;
    /// Of a change with a precondition.
    Conditional: InvalidHeader, PreconditionFailed;
    /// Of a body and its document.
    Bodies: InvalidBody, SlowBody, TooLarge, UnsupportedMediaType, Refused;
    /// Of a body whose id must be the id of the path.
    SameId: IdMismatch;
    /// Of a create.
    Creates: FlowExists;
    /// Of a check of a document, which is a POST.
    Checks: ReadOnlyKey, ForeignOrigin, Busy;
    /// Of an import.
    Imports: InvalidHeader, InvalidBody, SlowBody, TooLarge, UnsupportedMediaType, FlowsExist, FlowsRefused;
    /// Of a patch.
    Patches: PatchConflict;
    /// Of a read of a revision.
    Past: NoSuchRevision;
    /// Of a position in the change feed.
    FeedPosition: Gone;
    /// Of a WebSocket.
    Sockets: InvalidHeader, ForeignOrigin;
    /// Of a response that stays open.
    OpenStreams: TooManyStreams;
    /// Of an operation that needs an engine.
    Engine: NoEngine, ReadOnlyKey, ForeignOrigin;
    /// Of every read.
    Reads: Unavailable, Busy, Corrupt, Internal;
    /// Of every write.
    Writes: Unavailable, Busy, Corrupt, Internal, ReadOnly, ReadOnlyInstance, ReadOnlyKey, ForeignOrigin, NoRoom;
}

macro_rules! tuples {
    ($($($set:ident)+;)*) => {$(
        impl<$($set: Kinds),+> Kinds for ($($set,)+) {
            fn kinds() -> Vec<ProblemKind> {
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

/// The responses of a set of kinds.
pub(crate) struct Problems<K>(std::marker::PhantomData<K>);

impl<K: Kinds> IntoResponses for Problems<K> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&K::kinds())
    }
}

/// Returns one response per status.
pub(crate) fn responses(kinds: &[ProblemKind]) -> BTreeMap<String, RefOr<Response>> {
    let mut of_status: BTreeMap<u16, Vec<ProblemKind>> = BTreeMap::new();
    for kind in kinds {
        let same = of_status.entry(kind.status().as_u16()).or_default();
        if !same.contains(kind) {
            same.push(*kind);
        }
    }
    of_status.into_iter().map(|(status, kinds)| (status.to_string(), response(&kinds).into())).collect()
}

fn response(kinds: &[ProblemKind]) -> Response {
    let titles: Vec<_> = kinds.iter().map(|kind| kind.title()).collect();
    let response = ResponseBuilder::new().description(titles.join("; ")).content(MEDIA_TYPE, content(kinds));
    match kinds.iter().any(is_temporary) {
        true => response.header("Retry-After", headers::retry_after()).build(),
        false => response.build(),
    }
}

fn is_temporary(kind: &ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::Unavailable | ProblemKind::Busy | ProblemKind::TooManyStreams | ProblemKind::TooManyRequests
    )
}

/// The schema is a component and lists no types: generators would make a model of every combination of types.
fn content(kinds: &[ProblemKind]) -> Content {
    let schema = if kinds.iter().all(has_import_report) { "RefusedImport" } else { "Problem" };
    let examples = kinds.iter().map(|kind| (kind.slug(), example(*kind)));
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).examples_from_iter(examples).build()
}

/// Reports whether the response contains the report of an import.
fn has_import_report(kind: &ProblemKind) -> bool {
    matches!(kind, ProblemKind::FlowsExist | ProblemKind::FlowsRefused)
}

fn example(kind: ProblemKind) -> Example {
    let body = Problem::new(kind, kind.title()).document();
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| json!({}));
    if let (true, Value::Object(body), Value::Object(report)) =
        (has_import_report(&kind), &mut body, examples::refused())
    {
        body.extend(report);
    }
    let mut example = Example::new();
    example.summary = kind.title().to_owned();
    example.value = Some(body);
    example
}
