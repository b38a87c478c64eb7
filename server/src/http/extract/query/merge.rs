//! `?merge=auto` of saves.

use strom_store::repository::Revision;
use url::form_urlencoded;

use crate::http::extract::precondition::RequestPrecondition;
use crate::http::respond::Problem;

/// Returns the revision that the client edited, if the request asks for a merge.
pub(crate) fn edited_revision(
    query: Option<&str>,
    precondition: &RequestPrecondition,
) -> Result<Option<Revision>, Problem> {
    let query = query.unwrap_or_default().as_bytes();
    let values: Vec<_> = form_urlencoded::parse(query).filter(|(name, _)| name == "merge").collect();
    match values.as_slice() {
        [] => Ok(None),
        [(_, value)] if value == "auto" => match precondition.single_revision() {
            Some(revision) => Ok(Some(revision)),
            None => {
                let problem =
                    "`auto` requires `If-Match` with exactly one entity tag, the revision that was edited, such as";
                Err(Problem::parameter("merge", format!("{problem} `\"3\"`")))
            }
        },
        [_] => Err(Problem::parameter("merge", "must be `auto`")),
        _ => Err(Problem::parameter("merge", "the parameter occurs twice")),
    }
}
