//! The files of the console. The tests in [tests/console](../../console) open the console in a browser.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use strom_server::http::{Access, ApiKey};

use super::client::Client;
use super::failures;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/console/page")
}

/// Returns the paths of all files of the page.
fn files() -> BTreeSet<String> {
    fn walk(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => walk(&entry.path(), &format!("{name}/"), found),
                false => _ = found.insert(name),
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&folder(), "", &mut found);
    found
}

/// The page must load nothing from other servers.
#[tokio::test]
async fn the_page_may_load_only_its_own_files() {
    let client = failures::client(None);
    let page = client.send("GET /", &[], "").await;
    assert_eq!((page.status, page.headers["content-type"].to_str().unwrap()), (200, "text/html; charset=utf-8"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !page.body.contains("://"), "{policy}\n{}", page.body);
    assert!(!page.body.contains("style=") && !page.body.contains("onload="), "{}", page.body);
    let named: Vec<_> = page.body.split('"').filter(|part| part.starts_with("/console/")).collect();
    assert!(named.len() > 2, "{named:?}");
    for file in named {
        assert_eq!(client.bytes(file).await.0, 200, "{file}");
    }
}

#[tokio::test]
async fn every_imported_file_is_served() {
    let client = failures::client(None);
    let files = files();
    for file in files.iter().filter(|file| file.ends_with(".js") && !file.starts_with("vendor/")) {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        for line in text.lines().filter(|line| line.starts_with("import ") || line.starts_with("} from ")) {
            let Some(name) = line.split('\'').nth(1) else { continue };
            let (parent, _) = file.rsplit_once('/').unwrap_or_default();
            let name = match name.strip_prefix("../") {
                Some(name) => name.to_owned(),
                None if parent.is_empty() => name.trim_start_matches("./").to_owned(),
                None => format!("{parent}/{}", name.trim_start_matches("./")),
            };
            assert!(files.contains(&name), "{file} imports {name}");
            assert_eq!(client.bytes(&format!("/console/{name}")).await.0, 200, "{name}");
        }
    }
}

/// A browser revalidates a cached file and receives 304 if it is unchanged.
#[tokio::test]
async fn matching_etag_of_a_file_returns_304() {
    let client = failures::client(None);
    let first = client.send("GET /console/main.js", &[], "").await;
    assert_eq!(first.headers["cache-control"], "no-cache");
    let tag = first.headers["etag"].to_str().unwrap();
    for known in [tag, &format!("W/{tag}"), &format!("\"other\", {tag}"), "*"] {
        let again = client.send("GET /console/main.js", &[("if-none-match", known)], "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{known}");
        assert_eq!(again.headers["etag"], tag);
    }
    for other in ["\"other\"", "nonsense", ""] {
        assert_eq!(client.send("GET /console/main.js", &[("if-none-match", other)], "").await.status, 200);
    }
}

/// The server serves neither files outside of the page nor files for developers.
#[tokio::test]
async fn unknown_files_return_404() {
    let client = failures::client(None);
    for path in [
        "/console/",
        "/console/index.html/",
        "/console/mod.rs",
        "/console/..%2fmod.rs",
        "/console/%2e%2e%2fmod.rs",
        "/console/vendor/README.md",
        "/console/vendor",
        "/console/views/..%2f..%2fmod.rs",
        "/console/%2fetc%2fhosts.txt",
    ] {
        assert_eq!(client.bytes(path).await.0, 404, "{path}");
    }
}

/// The page must load without a key, because users enter the key on the page.
#[tokio::test]
async fn the_page_is_served_without_a_key() {
    let repository = strom_test_support::json::open().await;
    let client = Client::with(repository.clone(), Access::Key(ApiKey::new("a key")));
    for (path, status) in [("/", 200), ("/console/main.js", 200), ("/api/flows", 401)] {
        assert_eq!(client.bytes(path).await.0, status, "{path}");
    }
}

#[test]
fn vendored_files_match_their_digests() {
    use sha2::{Digest, Sha256};
    let vendor = folder().join("vendor");
    let readme = std::fs::read_to_string(vendor.join("README.md")).unwrap();
    for file in files().iter().filter_map(|file| file.strip_prefix("vendor/")).filter(|file| file.ends_with(".js")) {
        let hash = Sha256::digest(std::fs::read(vendor.join(file)).unwrap());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(readme.contains(&hash), "{file} has the SHA-256 {hash}");
    }
}
