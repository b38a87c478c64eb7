//! The rule for secrets, from whatever source: the flag, the variable, the keys file, or a hash in that file.

use sha2::{Digest, Sha256};

/// Minimum bytes of a secret.
const MIN_LENGTH: usize = 16;
/// Maximum number of white space characters in the blank strings whose hashes are rejected.
const MAX_BLANK: usize = 4;

/// A secret that is too short, blank, or that a header cannot contain as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret has at least {MIN_LENGTH} ASCII characters and no leading or trailing spaces\ngenerate one with \
     `openssl rand -hex 32`"
)]
pub struct WeakSecret;

/// Returns the SHA-256 of a secret that satisfies the rule.
pub(super) fn digest_of(secret: &str) -> Result<[u8; 32], WeakSecret> {
    let is_sendable = secret.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match secret.len() >= MIN_LENGTH && secret.trim() == secret && is_sendable {
        true => Ok(Sha256::digest(secret).into()),
        false => Err(WeakSecret),
    }
}

/// Reports whether a SHA-256 is that of a blank string. A mistake in a shell command, such as an unset variable, produces such a
/// hash. Other short secrets cannot be recognized by their hash.
pub(super) fn is_blank_digest(digest: &[u8; 32]) -> bool {
    let mut blanks = vec![String::new()];
    let mut first = 0;
    for _ in 0..MAX_BLANK {
        let longest = first..blanks.len();
        first = blanks.len();
        for index in longest {
            blanks.extend([' ', '\t', '\n', '\r'].map(|space| format!("{}{space}", blanks[index])));
        }
    }
    blanks.iter().any(|blank| Sha256::digest(blank).as_slice() == digest)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::{WeakSecret, digest_of, is_blank_digest};

    #[test]
    fn weak_secrets_and_hashes_of_blank_strings_are_recognized() {
        for weak in ["", " ", "short", "fifteen letters", " sixteen letters", "sixteen letters é", "sixteen\nletters\n"]
        {
            assert_eq!(digest_of(weak), Err(WeakSecret), "{weak:?}");
        }
        assert!(digest_of("sixteen letters!").is_ok());
        let is_blank = |text: &str| is_blank_digest(&Sha256::digest(text).into());
        assert!(["", " ", "\n", "\r\n", "\t", "  \n", "    "].into_iter().all(is_blank));
        assert!(!is_blank("a") && !is_blank("a secret that is long enough"));
    }
}
