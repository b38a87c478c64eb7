use std::time::Instant;

use super::super::key::holder;
use super::*;

const LONG: &str = "a secret that is long enough";

fn names(keys: &[ApiKey]) -> Vec<String> {
    keys.iter().map(|key| format!("{key:?}")).collect()
}

#[test]
fn keys_are_named_and_given_as_secret_or_hash() {
    let hash = Sha256::digest("hashed");
    let hash: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    let text = format!("# who may\n['Studio A']\nsha256 = '{hash}'\n\n[b]\nread-only = true\nsecret = \"{LONG}\"\n");
    let keys = parse(&text, Some(&ApiKey::new("besides"))).unwrap();
    let held = |secret: &str| holder(&keys, secret.as_bytes()).map(|caller| caller.name.as_str().to_owned());
    assert_eq!(
        (held("hashed"), held(LONG), held("besides"), held("wrong")),
        (Some("Studio A".to_owned()), Some("b".to_owned()), Some("api".to_owned()), None)
    );
    assert!(holder(&keys, LONG.as_bytes()).unwrap().is_read_only);
    assert!(!holder(&keys, b"hashed").unwrap().is_read_only);
}

#[test]
fn mistakes_are_found_with_their_line_and_without_what_it_says() {
    let hunter = "hunter2hunter2hunter2";
    let hash = "0".repeat(64);
    let cases = [
        (String::new(), None, "there is none\n"),
        ("# nobody\n".to_owned(), None, "there is none\n"),
        (format!("[a]\nsecret = {hunter}"), Some(2), "no TOML: "),
        (format!("[a]\nsecret = \"{hunter}"), Some(2), "no TOML: "),
        (format!("[a]\nsecret = '{hunter}'\nsecret = '{hunter}'"), Some(3), "no TOML: "),
        (format!("[a]\nsecret = '{hunter}'\n\n[a]\nsecret = '{hunter}x'"), Some(4), "no TOML: "),
        (format!("\n{hunter} = 'a'"), Some(2), "a value outside of a key\n"),
        (format!("[[a]]\nsecret = '{hunter}'"), Some(1), "a value outside of a key\n"),
        ("[a]".to_owned(), Some(1), MEMBERS),
        ("\n\n[a]\nread-only = true".to_owned(), Some(3), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\nsha256 = '{hash}'"), Some(1), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\n{hunter} = true"), Some(1), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\nread-only = '{hunter}'"), Some(1), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\n[a.b]\nsecret = '{hunter}'"), Some(1), MEMBERS),
        ("[a]\nsecret = 7".to_owned(), Some(1), MEMBERS),
        ("[a]\nsecret = ''".to_owned(), Some(1), "a secret has at least 16 characters"),
        ("[a]\nsecret = 'hunter2'".to_owned(), Some(1), "a secret has at least 16 characters"),
        (format!("[a]\nsecret = ' {hunter}'"), Some(1), "a secret has at least 16 characters"),
        (format!("[a]\nsecret = '{hunter}é'"), Some(1), "a secret has at least 16 characters"),
        (format!("[a]\nsecret = \"{hunter}\\n{hunter}\""), Some(1), "a secret has at least 16 characters"),
        (format!("[a]\nsha256 = '{hunter}'"), Some(1), "`sha256` is not 64 hexadecimal digits\n"),
        (format!("[a]\nsha256 = '+{}'", &hash[1..]), Some(1), "`sha256` is not 64 hexadecimal digits\n"),
        (format!("[a]\nsha256 = '{}é'", &hash[2..]), Some(1), "`sha256` is not 64 hexadecimal digits\n"),
        (
            format!("[a]\nsecret = '{hunter}'\n\n[b]\nsecret = '{hunter}'"),
            Some(4),
            "its secret is that of the key in line 1\n",
        ),
        (format!("[a]\nsecret = '{LONG}'"), Some(1), "its secret is that of the key of --api-key\n"),
        (format!("['']\nsecret = '{hunter}'"), Some(1), NAME),
        (format!("[\"a\\u0007\"]\nsecret = '{hunter}'"), Some(1), NAME),
        (format!("[' a']\nsecret = '{hunter}'"), Some(1), NAME),
        (format!("[{}]\nsecret = '{hunter}'", "a".repeat(65)), Some(1), NAME),
        (format!("[SQL]\nsecret = '{hunter}'"), Some(1), "`sql` is the author of other changes\n"),
        (format!("[api]\nsecret = '{hunter}'"), Some(1), "`api` is the author of other changes\n"),
    ];
    for (text, line, problem) in cases {
        let (found, why) = parse(&text, Some(&ApiKey::new(LONG))).map(|keys| names(&keys)).unwrap_err();
        assert_eq!(found, line, "{text}\n{why}");
        assert!(why.starts_with(problem) && !why.contains("hunter2"), "{text}\n{why}");
    }
}

#[tokio::test]
async fn a_file_is_followed_and_stays_what_it_was_while_it_makes_no_sense() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    let write = |text: &str| {
        std::fs::write(directory.path().join("new"), text).unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
    };
    write(&format!("[a]\nsecret = '{LONG}'"));
    let file = KeysFile::open(path.clone(), Some(ApiKey::new("besides"))).unwrap();
    let keys = file.keys();
    let following = tokio::spawn(file.follow());
    let opens = |secret: &str| holder(&keys.now(), secret.as_bytes()).is_some();
    let until = async |secret: &str, expected: bool| {
        let begin = Instant::now();
        while opens(secret) != expected {
            assert!(begin.elapsed() < Duration::from_secs(30), "{secret} is not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(opens(LONG) && opens("besides"));
    write("[b]\nsecret = 'another secret of b'");
    until("another secret of b", true).await;
    assert!(!opens(LONG) && opens("besides"));
    for broken in ["[b]\nsecret = 'anoth", "", "[c]\nsecret = 'short'"] {
        write(broken);
        tokio::time::sleep(LOOK * 3).await;
        assert!(opens("another secret of b") && opens("besides"), "{broken}");
    }
    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(LOOK * 3).await;
    assert!(opens("another secret of b"));
    write(&format!("[a]\nsecret = '{LONG}'"));
    until(LONG, true).await;
    assert!(!opens("another secret of b"));
    following.abort();
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    let error = |path: &Path| KeysFile::open(path.to_owned(), None).unwrap_err().to_string();
    let begin = format!("cannot take the keys in `{}`", path.display());
    assert_eq!(error(&path), format!("{begin}: No such file or directory (os error 2)"));
    std::fs::write(&path, "\n\n[a]\n").unwrap();
    assert_eq!(error(&path), format!("{begin}, line 3: {MEMBERS}"));
    std::fs::write(&path, " ".repeat(LARGEST as usize + 1)).unwrap();
    assert!(error(&path).contains("larger than 1048576 bytes"));
    std::fs::write(&path, [b'[', 0xff, b']']).unwrap();
    assert!(error(&path).contains("UTF-8"));
    assert!(error(directory.path()).starts_with("cannot take the keys in"));
}
