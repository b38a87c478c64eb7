//! The documents that the benchmarks store.

/// Returns a document of about this size, with the structure of real ones.
pub(crate) fn document(number: u128, bytes: usize) -> String {
    let element = |index: usize| {
        format!(
            r#"{{"id":"e{index}","element_type":"videotestsrc","properties":{{"pattern":"ball","is-live":true,"gain":{number}.10}},"position":[{index}.0,200.0]}}"#
        )
    };
    let elements: Vec<_> = (0..bytes / 120).map(element).collect();
    let id = uuid::Uuid::from_u128(number);
    format!(r#"{{"id":"{id}","name":"flow {number:06}","elements":[{}],"links":[]}}"#, elements.join(","))
}
