//! `Idempotency-Key`: a create that is sent again, because its answer was lost, creates nothing again.
//!
//! The draft of the IETF (draft-ietf-httpapi-idempotency-key-header) has servers remember answers. Here nothing has to be
//! remembered: the id of the flow is made of the key and its sender, so a second create meets the first one, on whatever
//! instance and after whatever restart, and the history knows what the first one was answered. It is known for as long
//! as the first revision is kept. Of an ephemeral flow only the present revision is: a create that is sent again has the
//! same answer as long as nobody has changed the flow, then it is told that the flow exists.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::App;
use super::flows::created;
use super::problem::{Kind, Problem};
use crate::clock;
use crate::flow::{Draft, Flow, FlowId, Runtime};
use crate::repository::{Author, RepositoryError, Revision};

/// The longest key, in bytes.
pub(super) const LONGEST: usize = 255;

/// What a client calls one create, however often it sends it.
#[derive(Debug)]
pub(super) struct Key(FlowId);

impl Key {
    /// The key of a request; `None` when it sends none.
    pub(super) fn of(headers: &HeaderMap, author: &Author) -> Result<Option<Self>, Problem> {
        let mut keys = headers.get_all("idempotency-key").into_iter();
        let (Some(key), another) = (keys.next(), keys.next()) else { return Ok(None) };
        let is_usable = (1..=LONGEST).contains(&key.len()) && another.is_none();
        if !is_usable {
            let detail = format!("`Idempotency-Key` is sent once and has from 1 to {LONGEST} bytes");
            return Err(Problem::new(Kind::InvalidHeader, detail));
        }
        // No key has a line end, so no two pairs make the same text.
        let digest = Sha256::new().chain_update(author.as_str()).chain_update(b"\n").chain_update(key).finalize();
        Ok(Some(Self(clock::id_of(digest.into()))))
    }

    /// The id for a flow that comes without one.
    pub(super) fn id(&self) -> FlowId {
        self.0
    }

    /// The id for the clone of a flow that comes with this one.
    pub(super) fn id_of_clone(&self, id: FlowId) -> FlowId {
        let of = |id: FlowId| *id.as_uuid().as_bytes();
        clock::id_of(Sha256::new().chain_update(of(self.0)).chain_update(of(id)).finalize().into())
    }

    /// The answer that this create was given before; `None` when it is new. What is sent under a key that was for another
    /// flow is refused.
    pub(super) async fn answer(
        &self,
        app: &App,
        flow: &Flow,
        headers: &HeaderMap,
    ) -> Result<Option<Response>, Problem> {
        let first = app.source.repository.revision(flow.id(), Revision::FIRST).await?;
        let is_forgotten = first.is_none() && flow.is_ephemeral();
        let first = match first {
            Some(first) => Some((first.item, first.revision)),
            None if is_forgotten => {
                app.source.repository.get(flow.id()).await?.map(|it| (it.item, it.version.revision))
            }
            None => None,
        };
        let Some((first, revision)) = first else { return Ok(None) };
        let hash =
            |flow: &Flow| flow.hash(Runtime::Left).map_err(|refusal| RepositoryError::Corrupt(refusal.to_string()));
        if hash(&first)? == hash(flow)? {
            const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
            let replayed = [(REPLAYED, HeaderValue::from_static("true"))];
            let answer = created(app, &first, revision, headers).await;
            return Ok(Some((replayed, answer).into_response()));
        }
        // A flow whose id the client has chosen may be somebody else's, and then it exists; so it does when it may have
        // been edited since.
        if flow.id() == self.0 && !is_forgotten {
            Err(Problem::new(Kind::KeyReused, "it came with another flow before"))
        } else {
            Ok(None)
        }
    }
}

/// The flow of a create, whose id is the client's, the key's or a fresh one.
pub(super) fn flow(text: &str, key: Option<&Key>) -> Result<Flow, Problem> {
    Ok(Draft::parse(text)?.into_flow(key.map_or_else(clock::new_id, Key::id))?)
}
