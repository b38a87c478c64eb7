//! Entity tags in `If-Match` and `If-None-Match` (RFC 9110, section 13). The entity tag of a flow is its revision.
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

/// The value of a header with entity tags.
pub(super) enum Tags {
    Any,
    List(Vec<Tag>),
}

/// An entity tag.
pub(super) struct Tag {
    pub(super) weak: bool,
    opaque: String,
}

impl Tag {
    /// Returns the revision of the tag. `None` for a tag that this server never sent.
    pub(super) fn revision(&self) -> Option<Revision> {
        let number: u64 = self.opaque.parse().ok()?;
        // Revisions are bigints in PostgreSQL.
        (number <= i64::MAX as u64 && number.to_string() == self.opaque).then(|| Revision::new(number))
    }
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
            let weak = rest.starts_with("W/");
            let (opaque, following) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
            tags.push(Tag { weak, opaque: opaque.to_owned() });
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
}
