//! Entity tags in `If-Match` and `If-None-Match` (RFC 9110, section 13). The entity tag of a flow is its revision.
//!
//! Proxies that compress responses change the tag `"6"`: nginx, HAProxy and Cloudflare to `W/"6"`, Apache to `"6-gzip"`, others to
//! `"6;gzip"` or `"6--gzip"`. A client returns the tag that it received. All these forms name revision 6, also in `If-Match`: the
//! comparison of revisions is as strict as a strong comparison, and otherwise such a client could never save.
//!
//! A report of runtime members creates no revision. So `If-None-Match` returns 304 although `gst_state` may have changed in
//! the meantime. In return, a report never makes the `If-Match` of an editor fail. A client that needs the current state
//! reads without the header.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_NONE_MATCH};
use strom_store::repository::Revision;

use crate::http::respond::{Problem, ProblemKind};

/// Reports whether `If-None-Match` names this revision. The comparison is weak.
pub(crate) fn client_has(headers: &HeaderMap, revision: Revision) -> Result<bool, Problem> {
    Ok(match Tags::parse(headers, IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::List(tags)) => tags.iter().any(|tag| tag.revision() == Some(revision)),
    })
}

/// Reports whether `If-None-Match` names this tag, which is not the tag of a revision. The comparison is weak.
pub(crate) fn client_has_tag(headers: &HeaderMap, opaque: &str) -> Result<bool, Problem> {
    Ok(match Tags::parse(headers, IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::List(tags)) => tags.iter().any(|tag| {
            tag.0.strip_prefix(opaque).is_some_and(|suffix| suffix.is_empty() || is_suffix_of_proxy(suffix))
        }),
    })
}

/// The value of a header with entity tags.
pub(super) enum Tags {
    Any,
    List(Vec<Tag>),
}

/// An entity tag without `W/` and quotes.
pub(super) struct Tag(String);

/// Content codings in the suffixes that proxies append, in lower case.
const CODINGS: [&str; 8] = ["gzip", "x-gzip", "br", "zstd", "deflate", "compress", "dcb", "dcz"];

impl Tag {
    /// Returns the revision of the tag. `None` for a tag that this server never sent.
    pub(super) fn revision(&self) -> Option<Revision> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, suffix) = self.0.split_at(length);
        let number: u64 = digits.parse().ok()?;
        let is_known = suffix.is_empty() || is_suffix_of_proxy(suffix);
        // Revisions are bigints in PostgreSQL.
        (is_known && number <= i64::MAX as u64 && number.to_string() == digits).then(|| Revision::new(number))
    }
}

/// Reports whether a suffix consists of separators and content codings, such as `-gzip`.
fn is_suffix_of_proxy(suffix: &str) -> bool {
    const SEPARATORS: [char; 6] = ['-', ';', ':', '.', '_', '+'];
    if !suffix.starts_with(SEPARATORS) {
        return false;
    }
    let rest = suffix.trim_start_matches(SEPARATORS).to_ascii_lowercase();
    CODINGS.iter().any(|coding| {
        rest.strip_prefix(coding).is_some_and(|further| further.is_empty() || is_suffix_of_proxy(further))
    })
}

impl Tags {
    /// Parses all header lines of this name as one list.
    pub(super) fn parse(headers: &HeaderMap, name: HeaderName) -> Result<Option<Self>, Problem> {
        let lines: Vec<_> =
            headers.get_all(&name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let text = lines.join(",");
        if text.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        let invalid = || {
            let example = "such as `\"3\"`, with quotes";
            Problem::new(ProblemKind::InvalidHeader, format!("`{name}` must be `*` or a list of entity tags {example}"))
        };
        Self::list(&text).map(|tags| Some(Self::List(tags))).ok_or_else(invalid)
    }

    /// Parses `W/"a", "b"`. Skips empty elements, as RFC 9110, section 5.6.1, requires of recipients.
    fn list(text: &str) -> Option<Vec<Tag>> {
        let mut tags = Vec::new();
        let mut rest = text.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let (opaque, following) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
            tags.push(Tag(opaque.to_owned()));
            let following = following.trim_start_matches([' ', '\t']);
            if !following.is_empty() && !following.starts_with(',') {
                return None;
            }
            rest = following.trim_start_matches([' ', '\t', ',']);
        }
        (!tags.is_empty()).then_some(tags)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::IF_NONE_MATCH;
    use strom_store::repository::Revision;

    use super::client_has;

    #[test]
    fn if_none_match_compares_weak_tags() {
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, "\"1\", W/\"2\"".parse().unwrap())]);
        assert!(client_has(&headers, Revision::new(2)).unwrap());
        assert!(!client_has(&headers, Revision::new(3)).unwrap());
    }

    #[test]
    fn tags_that_proxies_changed_name_the_revision() {
        let has = |tag: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, tag.parse().unwrap())]);
            client_has(&headers, Revision::new(6)).unwrap()
        };
        for coding in ["gzip", "br", "zstd", "deflate", "GZIP", "x-gzip"] {
            for separator in ["-", "--", ";", ":", "."] {
                for weak in ["", "W/"] {
                    let tag = format!("{weak}\"6{separator}{coding}\"");
                    assert!(has(&tag), "{tag}");
                }
            }
        }
        assert!(has("W/\"6\"") && has("\"6-gzip;br\""));
        for other in ["\"6gzip\"", "\"6-\"", "\"6-x\"", "\"6-gzipx\"", "\"66-gzip\"", "\"-gzip\"", "\"06-gzip\""] {
            assert!(!has(other), "{other}");
        }
    }
}
