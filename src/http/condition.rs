//! Conditional requests (RFC 9110, section 13). The entity tag of a flow is its revision.
//!
//! A change of runtime members alone makes no revision, so `If-None-Match` answers 304 although `gst_state` may have
//! changed since. That is the price of the promise behind it: reports of an engine never make a person's `If-Match`
//! fail. Who wants to see states reads without the header.

use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};

use super::problem::{Kind, Problem};
use crate::repository::{Precondition, RepositoryError, Revision, ViolationKind};

/// The entity tag of a revision.
pub(super) fn etag(revision: Revision) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("digits in quotes are a header value")
}

/// Under which condition a write is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// The flow exists: no header, or `If-Match: *`.
    Exists,
    /// The flow is at one of these revisions: `If-Match` with tags. It may be none, when no tag can be one of ours.
    AtOneOf(Vec<Revision>),
    /// The flow does not exist: `If-None-Match: *`.
    Absent,
}

impl Condition {
    /// The condition of a request that changes a flow. `If-None-Match` is refused, since ignoring it would do what its
    /// sender wanted prevented.
    pub(super) fn of_change(headers: &HeaderMap) -> Result<Self, Problem> {
        match Tags::parse(headers, IF_NONE_MATCH)? {
            Some(_) => Err(Problem::new(Kind::InvalidHeader, "`If-None-Match` has no meaning here")),
            None => Ok(Self::if_match(Tags::parse(headers, IF_MATCH)?)),
        }
    }

    /// The condition of a `PUT`, which may also create.
    pub(super) fn of_put(headers: &HeaderMap) -> Result<Self, Problem> {
        match (Tags::parse(headers, IF_NONE_MATCH)?, Tags::parse(headers, IF_MATCH)?) {
            (None, if_match) => Ok(Self::if_match(if_match)),
            (Some(Tags::Any), None) => Ok(Self::Absent),
            (Some(Tags::List(_)), None) => {
                Err(Problem::new(Kind::InvalidHeader, "the only `If-None-Match` to write with is `*`"))
            }
            (Some(_), Some(_)) => {
                Err(Problem::new(Kind::InvalidHeader, "send `If-Match` or `If-None-Match`, not both"))
            }
        }
    }

    /// By strong comparison, so that a weak tag never matches.
    fn if_match(tags: Option<Tags>) -> Self {
        match tags {
            None | Some(Tags::Any) => Self::Exists,
            Some(Tags::List(tags)) => {
                Self::AtOneOf(tags.iter().filter(|tag| !tag.weak).filter_map(Tag::revision).collect())
            }
        }
    }

    /// The newest of the revisions that it names and that are older than this one: what its sender has edited, as far as
    /// can be told.
    pub(super) fn newest_before(&self, current: Revision) -> Option<Revision> {
        match self {
            Self::AtOneOf(revisions) => revisions.iter().copied().filter(|revision| *revision < current).max(),
            Self::Exists | Self::Absent => None,
        }
    }

    /// The revision that it names, where it names just one.
    pub(super) fn only(&self) -> Option<Revision> {
        match self {
            Self::AtOneOf(revisions) => <[Revision; 1]>::try_from(revisions.as_slice()).ok().map(|[only]| only),
            Self::Exists | Self::Absent => None,
        }
    }

    /// Whether it holds for a flow at this revision.
    pub(super) fn allows(&self, revision: Revision) -> bool {
        match self {
            Self::Exists => true,
            Self::AtOneOf(revisions) => revisions.contains(&revision),
            Self::Absent => false,
        }
    }

    /// What to ask of the repository, which knows one revision at a time. The first is as good as any: when another
    /// one is the flow's, [`again`](Self::again) says so.
    pub(super) fn precondition(&self) -> Precondition {
        const NEVER: u64 = 0; // revisions are counted from 1
        match self {
            Self::Exists => Precondition::Present,
            Self::Absent => Precondition::Absent,
            Self::AtOneOf(revisions) => {
                Precondition::At(revisions.first().copied().unwrap_or_else(|| Revision::new(NEVER)))
            }
        }
    }

    /// The revision to try again with after this error. Revisions only grow and the list is finite, so this ends.
    pub(super) fn again(&self, error: &RepositoryError) -> Option<Precondition> {
        let (Self::AtOneOf(_), RepositoryError::Conflict(violations)) = (self, error) else { return None };
        let [violation] = violations.as_slice() else { return None };
        let ViolationKind::Stale { current, .. } = &violation.kind else { return None };
        let revision = current.version.revision;
        self.allows(revision).then_some(Precondition::At(revision))
    }
}

/// Whether `If-None-Match` says that the client has this revision already, by weak comparison.
pub(super) fn is_known(headers: &HeaderMap, revision: Revision) -> Result<bool, Problem> {
    Ok(match Tags::parse(headers, IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::List(tags)) => tags.iter().any(|tag| tag.revision() == Some(revision)),
    })
}

enum Tags {
    Any,
    List(Vec<Tag>),
}

struct Tag {
    weak: bool,
    opaque: String,
}

impl Tag {
    /// The revision it stands for; none for a tag that we did not print.
    fn revision(&self) -> Option<Revision> {
        let number: u64 = self.opaque.parse().ok()?;
        // PostgreSQL's bigint ends there, and so do revisions.
        (number <= i64::MAX as u64 && number.to_string() == self.opaque).then(|| Revision::new(number))
    }
}

impl Tags {
    /// All header lines of this name as one list.
    fn parse(headers: &HeaderMap, name: HeaderName) -> Result<Option<Self>, Problem> {
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
            let example = "such as `\"3\"`, with its quotes";
            Problem::new(Kind::InvalidHeader, format!("`{name}` is `*` or a list of entity tags {example}"))
        };
        Self::list(&text).map(|tags| Some(Self::List(tags))).ok_or_else(invalid)
    }

    /// `W/"a", "b"`; empty elements are skipped, as RFC 9110, 5.6.1 asks of recipients.
    fn list(text: &str) -> Option<Vec<Tag>> {
        let mut tags = Vec::new();
        let mut rest = text.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let weak = rest.starts_with("W/");
            let (opaque, behind) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
            tags.push(Tag { weak, opaque: opaque.to_owned() });
            let behind = behind.trim_start_matches([' ', '\t']);
            if !behind.is_empty() && !behind.starts_with(',') {
                return None;
            }
            rest = behind.trim_start_matches([' ', '\t', ',']);
        }
        (!tags.is_empty()).then_some(tags)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{IF_MATCH, IF_NONE_MATCH};

    use super::{Condition, is_known};
    use crate::repository::Revision;

    fn if_match(value: &str) -> Option<Vec<u64>> {
        let headers = HeaderMap::from_iter([(IF_MATCH, value.parse().unwrap())]);
        match Condition::of_change(&headers).ok()? {
            Condition::AtOneOf(revisions) => Some(revisions.iter().map(|revision| revision.number()).collect()),
            _ => Some(vec![u64::MAX]),
        }
    }

    #[test]
    fn only_strong_tags_of_ours_can_match() {
        assert_eq!(if_match("\"3\""), Some(vec![3]));
        assert_eq!(if_match(r#", "1" ,W/"2","03","a,b", "4","99999999999999999999""#), Some(vec![1, 4]));
        assert_eq!(if_match(" * "), Some(vec![u64::MAX]));
        for invalid in ["3", "\"3", "\"3\" \"4\"", "*, \"3\"", "w/\"3\"", ""] {
            assert_eq!(if_match(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_weak_tag_is_known_too() {
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, "\"1\", W/\"2\"".parse().unwrap())]);
        assert!(is_known(&headers, Revision::new(2)).unwrap());
        assert!(!is_known(&headers, Revision::new(3)).unwrap());
    }
}
