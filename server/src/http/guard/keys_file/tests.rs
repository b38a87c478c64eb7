use std::path::Path;

use super::super::api_key::find_holder;
use super::*;

const LONG: &str = "a secret that is long enough";

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_reloaded_and_an_invalid_file_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    let write = |text: &str| {
        std::fs::write(directory.path().join("new"), text).unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
    };
    write(&format!("[a]\nsecret = '{LONG}'"));
    let file = KeysFile::open(path.clone(), Some(ApiKey::new("additional"))).unwrap();
    let keys = file.keys();
    let following = tokio::spawn(file.follow());
    let is_valid = |secret: &str| find_holder(&keys.current(), secret.as_bytes()).is_some();
    // Time is paused: it advances only when every task waits for it, and not while a task reads the file.
    let wait_for_reload = async || tokio::time::sleep(INTERVAL * 3).await;
    assert!(is_valid(LONG) && is_valid("additional"));
    write("[b]\nsecret = 'another secret of b'");
    wait_for_reload().await;
    assert!(is_valid("another secret of b") && !is_valid(LONG) && is_valid("additional"));
    for broken in ["[b]\nsecret = 'anoth", "", "[c]\nsecret = 'short'"] {
        write(broken);
        wait_for_reload().await;
        assert!(is_valid("another secret of b") && is_valid("additional"), "{broken}");
    }
    std::fs::remove_file(&path).unwrap();
    wait_for_reload().await;
    assert!(is_valid("another secret of b"));
    write(&format!("[a]\nsecret = '{LONG}'"));
    wait_for_reload().await;
    assert!(is_valid(LONG) && !is_valid("another secret of b"));
    following.abort();
}

#[test]
fn an_unreadable_file_is_named_in_the_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    let error = |path: &Path| KeysFile::open(path.to_owned(), None).unwrap_err().to_string();
    let start = format!("cannot read the API keys in `{}`", path.display());
    assert_eq!(error(&path), format!("{start}: No such file or directory (os error 2)"));
    std::fs::write(&path, "\n\n[a]\n").unwrap();
    assert!(error(&path).starts_with(&format!("{start}, line 3: a key requires `secret`")));
    std::fs::write(&path, " ".repeat(MAX_SIZE as usize + 1)).unwrap();
    assert!(error(&path).contains("larger than 1048576 bytes"));
    std::fs::write(&path, [b'[', 0xff, b']']).unwrap();
    assert!(error(&path).contains("UTF-8"));
    assert!(error(directory.path()).starts_with("cannot read the API keys in"));
}
