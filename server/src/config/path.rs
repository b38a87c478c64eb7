//! Paths that a person has written.

use std::path::{Path, PathBuf};

/// A text that cannot be the path of a file. Contains nothing of the text but a scheme, because a URL may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPath {
    #[error(
        "a `{0}:` URL was given instead of a path\nuse the path of a local file; a file with such a name needs `./`"
    )]
    Url(String),
    #[error("`~USER/` was given as a path, which only a shell expands\nwrite the whole path")]
    OtherHome,
    #[error("`~/` was given as a path, but HOME is not set\nwrite the whole path")]
    NoHome,
}

/// Returns the path to use. Expands `~/`: a shell does so only at the start of a word, so not in `--receipt=~/receipt.json`.
///
/// # Errors
/// For a URL, which would become a file below a directory such as `https:`.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, InvalidPath> {
    // A path that is not UTF-8 is neither.
    let Some(text) = path.to_str() else { return Ok(path.to_owned()) };
    if let Some(scheme) = scheme(text) {
        return Err(InvalidPath::Url(scheme.to_owned()));
    }
    let Some(behind) = text.strip_prefix('~') else { return Ok(path.to_owned()) };
    match behind.split_once('/') {
        None if behind.is_empty() => home(),
        Some(("", rest)) => Ok(home()?.join(rest.trim_start_matches('/'))),
        // A file name may start with the character.
        None => Ok(path.to_owned()),
        Some(_) => Err(InvalidPath::OtherHome),
    }
}

fn home() -> Result<PathBuf, InvalidPath> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).ok_or(InvalidPath::NoHome)
}

/// Returns the scheme of a URL (RFC 3986, section 3.1). Without `//`, only `file:` is one: a name may contain a colon.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let is_url = is_scheme && (rest.starts_with("//") || scheme.eq_ignore_ascii_case("file") && rest.starts_with('/'));
    is_url.then_some(scheme)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{InvalidPath, resolve};

    #[test]
    fn urls_are_rejected_and_their_passwords_are_not_repeated() {
        for (text, scheme) in [
            ("postgresql://strom:secret@db/strom", "postgresql"),
            ("http://example.org/a.gz", "http"),
            ("S3://bucket/a.gz", "S3"),
            ("file:///tmp/a.gz", "file"),
            ("file:/tmp/a.gz", "file"),
            ("git+ssh://host/a", "git+ssh"),
        ] {
            let error = resolve(Path::new(text)).unwrap_err();
            assert_eq!(error, InvalidPath::Url(scheme.to_owned()));
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn paths_are_unchanged_except_for_the_home_directory() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(resolve(Path::new("~")), Ok(home.clone()));
        assert_eq!(resolve(Path::new("~/a/b")), Ok(home.join("a/b")));
        assert_eq!(resolve(Path::new("~root/a")), Err(InvalidPath::OtherHome));
        for text in ["-", "a", "/a/b", "./http://a", "a:b", "12:30.gz", "~a", "a~/b", "file:a", "C:a", ""] {
            assert_eq!(resolve(Path::new(text)), Ok(PathBuf::from(text)), "{text}");
        }
    }
}
