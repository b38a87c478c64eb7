//! The documents in `tests/flows`.

use std::path::Path;

use strom_store::Flow;
use strom_store::internals::samples::flows_of_file;

/// Returns every flow of every file with the name of its file. Some flows have the same id.
pub fn all() -> Vec<(String, Flow)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows");
    let files = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.flat_map(|path| flows_of_file(&path).into_iter().map(move |flow| (path.display().to_string(), flow))).collect()
}
