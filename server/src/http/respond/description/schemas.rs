//! Schemas of flows and of changes to flows.
//!
//! [schemas.json](schemas.json) contains them, because there are no Rust types for them: the store keeps a document as it was
//! written ([`strom_store::flow`]). Every body that the server itself generates has its schema at its Rust type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Returns all schemas by name.
pub(crate) fn all() -> BTreeMap<String, RefOr<Schema>> {
    let mut schemas: BTreeMap<String, RefOr<Schema>> =
        serde_json::from_str(include_str!("schemas.json")).expect("it is an object of schemas; a test reads it");
    // utoipa cannot read a schema without a type from a file.
    let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let anything = anything.description(Some("Any JSON: what engines newer than this store write is kept."));
    schemas.insert("Anything".to_owned(), anything.into());
    schemas
}

macro_rules! schemas {
    ($($name:ident,)*) => {$(
        #[doc = concat!("The schema `", stringify!($name), "` of the file.")]
        pub(crate) struct $name;

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
