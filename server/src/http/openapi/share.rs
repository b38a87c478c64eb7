//! Moves the parameters of operations into components, so that each one is described once.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{OpenApi, Ref, RefOr};

use super::document::operations;

/// Replaces every parameter by a reference. Equal parameters share a component, which has the name of the parameter. A parameter that
/// differs from another one with its name has the name of its first operation as well.
pub(crate) fn share_parameters(mut document: OpenApi) -> OpenApi {
    let mut shared: BTreeMap<String, (Value, Parameter)> = BTreeMap::new();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let id = operation.operation_id.clone().unwrap_or_default();
        for place in operation.parameters.iter_mut().flatten() {
            let RefOr::T(parameter) = place else { continue };
            let described = serde_json::to_value(&*parameter).expect("strings, numbers and lists become JSON");
            let mut key = parameter.name.clone();
            if shared.get(&key).is_some_and(|(other, _)| *other != described) {
                let same = shared.iter().find(|(_, (other, _))| *other == described);
                key = same.map_or_else(|| format!("{key}.{id}"), |(key, _)| key.clone());
            }
            shared.entry(key.clone()).or_insert_with(|| (described, parameter.clone()));
            *place = RefOr::Ref(Ref::new(format!("#/components/parameters/{key}")));
        }
    }
    let parameters = shared.into_iter().map(|(key, (_, parameter))| (key, RefOr::T(parameter)));
    document.components.get_or_insert_default().parameters.extend(parameters);
    document
}
