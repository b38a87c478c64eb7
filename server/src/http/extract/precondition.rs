//! The precondition of a request that writes: `If-Match` and `If-None-Match` (RFC 9110, section 13).
//!
//! `storage::edit` compares it with the current flow. For a deletion, `storage::apply` passes it to the repository.

use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use strom_store::repository::{Precondition, RepositoryError, Revision, ViolationKind};

use super::entity_tag::{Tag, Tags};
use crate::http::respond::{Problem, ProblemKind};

/// The precondition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestPrecondition {
    /// The flow exists: no header, or `If-Match: *`.
    Exists,
    /// The flow is at one of these revisions: `If-Match` with tags. The list is empty if no tag can be a revision.
    AtOneOf(Vec<Revision>),
    /// The flow does not exist: `If-None-Match: *`.
    Absent,
}

impl RequestPrecondition {
    /// Parses the precondition of a change to an existing flow. Rejects `If-None-Match`: ignoring it would do what the client
    /// wants to prevent.
    pub(crate) fn of_change(headers: &HeaderMap) -> Result<Self, Problem> {
        match Tags::parse(headers, IF_NONE_MATCH)? {
            Some(_) => Err(Problem::new(ProblemKind::InvalidHeader, "this route does not support `If-None-Match`")),
            None => Ok(Self::if_match(Tags::parse(headers, IF_MATCH)?)),
        }
    }

    /// Parses the precondition of a `PUT`, which may also create a flow.
    pub(crate) fn of_put(headers: &HeaderMap) -> Result<Self, Problem> {
        match (Tags::parse(headers, IF_NONE_MATCH)?, Tags::parse(headers, IF_MATCH)?) {
            (None, if_match) => Ok(Self::if_match(if_match)),
            (Some(Tags::Any), None) => Ok(Self::Absent),
            (Some(Tags::List(_)), None) => {
                Err(Problem::new(ProblemKind::InvalidHeader, "writes support only `If-None-Match: *`"))
            }
            (Some(_), Some(_)) => {
                Err(Problem::new(ProblemKind::InvalidHeader, "send `If-Match` or `If-None-Match`, not both"))
            }
        }
    }

    fn if_match(tags: Option<Tags>) -> Self {
        match tags {
            None | Some(Tags::Any) => Self::Exists,
            Some(Tags::List(tags)) => Self::AtOneOf(tags.iter().filter_map(Tag::revision).collect()),
        }
    }

    /// Returns the newest named revision before this one. The client probably edited that revision.
    pub(crate) fn newest_before(&self, current: Revision) -> Option<Revision> {
        match self {
            Self::AtOneOf(revisions) => revisions.iter().copied().filter(|revision| *revision < current).max(),
            Self::Exists | Self::Absent => None,
        }
    }

    /// Returns the named revision if there is exactly one.
    pub(crate) fn single_revision(&self) -> Option<Revision> {
        match self {
            Self::AtOneOf(revisions) => <[Revision; 1]>::try_from(revisions.as_slice()).ok().map(|[only]| only),
            Self::Exists | Self::Absent => None,
        }
    }

    /// Reports whether a flow at this revision satisfies the precondition.
    pub(crate) fn allows(&self, revision: Revision) -> bool {
        match self {
            Self::Exists => true,
            Self::AtOneOf(revisions) => revisions.contains(&revision),
            Self::Absent => false,
        }
    }

    /// Returns the first precondition for the repository, which accepts one revision at a time. If the flow is at another
    /// named revision, [`retry_after`](Self::retry_after) returns that one.
    pub(crate) fn first(&self) -> Precondition {
        const NO_REVISION: u64 = 0; // revisions start at 1
        match self {
            Self::Exists => Precondition::Present,
            Self::Absent => Precondition::Absent,
            Self::AtOneOf(revisions) => {
                Precondition::At(revisions.first().copied().unwrap_or_else(|| Revision::new(NO_REVISION)))
            }
        }
    }

    /// Returns the precondition for another attempt after this error. The number of attempts is finite, because revisions
    /// only increase and the list is finite.
    pub(crate) fn retry_after(&self, error: &RepositoryError) -> Option<Precondition> {
        let (Self::AtOneOf(_), RepositoryError::Conflict(violations)) = (self, error) else { return None };
        let [violation] = violations.as_slice() else { return None };
        let ViolationKind::Stale { current, .. } = &violation.kind else { return None };
        let revision = current.version.revision;
        self.allows(revision).then_some(Precondition::At(revision))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::IF_MATCH;

    use super::RequestPrecondition;

    fn if_match(value: &str) -> Option<Vec<u64>> {
        let headers = HeaderMap::from_iter([(IF_MATCH, value.parse().unwrap())]);
        match RequestPrecondition::of_change(&headers).ok()? {
            RequestPrecondition::AtOneOf(revisions) => {
                Some(revisions.iter().map(|revision| revision.number()).collect())
            }
            _ => Some(vec![u64::MAX]),
        }
    }

    #[test]
    fn if_match_accepts_tags_of_revisions() {
        assert_eq!(if_match("\"3\""), Some(vec![3]));
        assert_eq!(if_match(r#", "1" ,W/"2","03","a,b", "4","99999999999999999999""#), Some(vec![1, 2, 4]));
        assert_eq!(if_match(r#""6-gzip", "7;gzip", "8-x""#), Some(vec![6, 7]));
        assert_eq!(if_match(" * "), Some(vec![u64::MAX]));
        for invalid in ["3", "\"3", "\"3\" \"4\"", "*, \"3\"", "w/\"3\"", ""] {
            assert_eq!(if_match(invalid), None, "{invalid}");
        }
    }
}
