//! Builders for the descriptions of parameters in the OpenAPI document.

use std::ops::RangeInclusive;

use serde_json::Value;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

/// Declares types that describe the parameters of an operation.
macro_rules! describe_parameters {
    ($($(#[$doc:meta])* $name:ident => [$($parameter:expr),+ $(,)?];)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl utoipa::IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>) -> Vec<utoipa::openapi::path::Parameter> {
                vec![$($parameter),+]
            }
        }
    )*};
}
pub(crate) use describe_parameters;

pub(crate) fn parameter(name: &str, description: &str, location: ParameterIn) -> Parameter {
    let required = if location == ParameterIn::Path { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(location).required(required);
    parameter.description(Some(description)).build()
}

/// Optional parameters have no examples: generators and consoles would send them.
fn simple(name: &str, description: &str, location: ParameterIn, schema: ObjectBuilder) -> ParameterBuilder {
    ParameterBuilder::from(parameter(name, description, location)).schema(Some(schema))
}

pub(crate) fn path(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    simple(name, description, ParameterIn::Path, schema).example(Some(example)).build()
}

pub(crate) fn query(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    simple(name, description, ParameterIn::Query, schema).build()
}

pub(crate) fn header(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    simple(name, description, ParameterIn::Header, schema).build()
}

pub(crate) fn required_header(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    let header = simple(name, description, ParameterIn::Header, schema);
    header.required(Required::True).example(Some(example)).build()
}

pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(crate) fn matching(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

pub(crate) fn one_of(values: &[&str]) -> ObjectBuilder {
    text().enum_values(Some(values.iter().copied()))
}

pub(crate) fn boolean() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

pub(crate) fn number(bounds: RangeInclusive<u64>) -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    number.minimum(Some(*bounds.start())).maximum(Some(*bounds.end()))
}

pub(crate) fn custom(format: &str) -> Option<SchemaFormat> {
    Some(SchemaFormat::Custom(format.to_owned()))
}
