//! The shapes of what people write: flows and changes of them.
//!
//! They are told in [schemas.json](schemas.json) and not by Rust types, because there are none: a document is kept as it is
//! written ([`crate::flow`]). What the server makes itself has its schema beside its type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// All of them by name.
pub(super) fn all() -> BTreeMap<String, RefOr<Schema>> {
    let mut schemas: BTreeMap<String, RefOr<Schema>> =
        serde_json::from_str(include_str!("schemas.json")).expect("it is an object of schemas; a test reads it");
    // A schema without a type is none in a file, for the library.
    let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let anything = anything.description(Some("Any JSON: what engines newer than this store write is kept."));
    schemas.insert("Anything".to_owned(), anything.into());
    schemas
}

macro_rules! schemas {
    ($($name:ident,)*) => {$(
        #[doc = concat!("The schema `", stringify!($name), "` of the file.")]
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                all().remove(stringify!($name)).expect("it is in the file; a test reads it")
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )*};
}

schemas! {
    Flow,
    NewFlow,
    NewProperties,
    MergePatch,
    JsonPatch,
    FlowsFile,
    Import,
    ImportLines,
    ImportReport,
    GstState,
    Changes,
    Difference,
    MemberChange,
    Conflict,
    Operation,
    Elements,
    Blocks,
    NetworkInterfaces,
}
