use sha2::{Digest, Sha256};

use super::super::api_key::find_holder;
use super::*;

const LONG: &str = "a secret that is long enough";

fn names(keys: &[ApiKey]) -> Vec<String> {
    keys.iter().map(|key| format!("{key:?}")).collect()
}

fn hex(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn a_key_has_a_name_and_a_secret_or_hash() {
    let hash = hex("hashed");
    let text = format!("# keys\n['Studio A']\nsha256 = '{hash}'\n\n[b]\nread-only = true\nsecret = \"{LONG}\"\n");
    let keys = parse(&text, Some(&ApiKey::new("additional"))).unwrap();
    let name_of = |secret: &str| find_holder(&keys, secret.as_bytes()).map(|caller| caller.name.as_str().to_owned());
    assert_eq!(
        (name_of("hashed"), name_of(LONG), name_of("additional"), name_of("wrong")),
        (Some("Studio A".to_owned()), Some("b".to_owned()), Some("api".to_owned()), None)
    );
    assert!(find_holder(&keys, LONG.as_bytes()).unwrap().is_read_only);
    assert!(!find_holder(&keys, b"hashed").unwrap().is_read_only);
}

#[test]
fn errors_name_the_line_and_not_its_content() {
    let hunter = "hunter2hunter2hunter2";
    let hash = "0".repeat(64);
    let cases = [
        (String::new(), None, "the file contains no key\n"),
        ("# empty\n".to_owned(), None, "the file contains no key\n"),
        (format!("[a]\nsecret = {hunter}"), Some(2), "invalid TOML: "),
        (format!("[a]\nsecret = \"{hunter}"), Some(2), "invalid TOML: "),
        (format!("[a]\nsecret = '{hunter}'\nsecret = '{hunter}'"), Some(3), "invalid TOML: "),
        (format!("[a]\nsecret = '{hunter}'\n\n[a]\nsecret = '{hunter}x'"), Some(4), "invalid TOML: "),
        (format!("\n{hunter} = 'a'"), Some(2), "a value outside of a key\n"),
        (format!("[[a]]\nsecret = '{hunter}'"), Some(1), "a value outside of a key\n"),
        ("[a]".to_owned(), Some(1), MEMBERS),
        ("\n\n[a]\nread-only = true".to_owned(), Some(3), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\nsha256 = '{hash}'"), Some(1), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\n{hunter} = true"), Some(1), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\nread-only = '{hunter}'"), Some(1), MEMBERS),
        (format!("[a]\nsecret = '{hunter}'\n[a.b]\nsecret = '{hunter}'"), Some(1), MEMBERS),
        ("[a]\nsecret = 7".to_owned(), Some(1), MEMBERS),
        ("[a]\nsecret = ''".to_owned(), Some(1), "a secret has at least 16 ASCII characters"),
        ("[a]\nsecret = 'hunter2'".to_owned(), Some(1), "a secret has at least 16 ASCII characters"),
        (format!("[a]\nsecret = ' {hunter}'"), Some(1), "a secret has at least 16 ASCII characters"),
        (format!("[a]\nsecret = '{hunter}é'"), Some(1), "a secret has at least 16 ASCII characters"),
        (format!("[a]\nsecret = \"{hunter}\\n{hunter}\""), Some(1), "a secret has at least 16 ASCII characters"),
        (format!("[a]\nsha256 = '{hunter}'"), Some(1), "`sha256` is not 64 hexadecimal digits\n"),
        (format!("[a]\nsha256 = '{}'", hex("")), Some(1), "`sha256` is the hash of a blank secret\n"),
        (format!("[a]\nsha256 = '{}'", hex("\r\n")), Some(1), "`sha256` is the hash of a blank secret\n"),
        (format!("[a]\nsha256 = '+{}'", &hash[1..]), Some(1), "`sha256` is not 64 hexadecimal digits\n"),
        (format!("[a]\nsha256 = '{}é'", &hash[2..]), Some(1), "`sha256` is not 64 hexadecimal digits\n"),
        (
            format!("[a]\nsecret = '{hunter}'\n\n[b]\nsecret = '{hunter}'"),
            Some(4),
            "its secret is also the secret of the key in line 1\n",
        ),
        (format!("[a]\nsecret = '{LONG}'"), Some(1), "its secret is also the secret of the key of --api-key\n"),
        (format!("['']\nsecret = '{hunter}'"), Some(1), NAME),
        (format!("[\"a\\u0007\"]\nsecret = '{hunter}'"), Some(1), NAME),
        (format!("[' a']\nsecret = '{hunter}'"), Some(1), NAME),
        (format!("[{}]\nsecret = '{hunter}'", "a".repeat(65)), Some(1), NAME),
        (format!("[SQL]\nsecret = '{hunter}'"), Some(1), "`sql` is a reserved author name\n"),
        (format!("[api]\nsecret = '{hunter}'"), Some(1), "`api` is a reserved author name\n"),
    ];
    for (text, line, problem) in cases {
        let (found, why) = parse(&text, Some(&ApiKey::new(LONG))).map(|keys| names(&keys)).unwrap_err();
        assert_eq!(found, line, "{text}\n{why}");
        assert!(why.starts_with(problem) && !why.contains("hunter2"), "{text}\n{why}");
    }
}
