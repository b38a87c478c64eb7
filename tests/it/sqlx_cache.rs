//! The committed `.sqlx` must match the sources. `cargo sqlx prepare` only warns about unused files.

use std::fs;
use std::path::{Path, PathBuf};

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

/// Returns the statements of the committed metadata, each with its file.
pub(crate) fn cached() -> Vec<(PathBuf, String)> {
    let query = |path: PathBuf| {
        let cache: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (path, cache["query"].as_str().unwrap().to_owned())
    };
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx"), "json").into_iter().map(query).collect()
}

/// Returns the statement of Strom that contains this text.
pub(crate) fn statement(part: &str) -> String {
    let mut found = cached().into_iter().map(|(_, query)| query).filter(|query| query.contains(part));
    let statement = found.next().unwrap_or_else(|| panic!("no statement contains `{part}`"));
    assert_eq!(found.next(), None, "two statements contain `{part}`");
    statement
}

#[test]
fn every_cached_query_is_in_the_sources_and_every_macro_is_cached() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: String = files(&root.join("src"), "rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let cached = cached();
    for (path, query) in &cached {
        assert!(sources.contains(query), "no macro uses {}; run `just prepare`", path.display());
    }
    let macros = ["query!(", "query_as!(", "query_scalar!("];
    let uses: usize = macros.iter().map(|name| sources.matches(&format!("sqlx::{name}")).count()).sum();
    assert_eq!(uses, cached.len(), "macros in src and files in .sqlx; run `just prepare`");
}
