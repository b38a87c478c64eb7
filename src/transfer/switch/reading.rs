//! The flows of a source: checked, hashed and put aside.

use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::report::Obstacle;
use crate::flow::{Flow, FlowId, Refusal, Runtime};
use crate::repository::{Stored, Version};
use crate::transfer::spool::{Filling, Slot, Spool};

/// How many flows are checked at once, at most.
pub(super) const CHUNK: usize = 256;

/// A flow of the source. Takes some hundred bytes of memory, whatever its size.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: FlowId,
    pub(super) name: Box<str>,
    pub(super) version: Version,
    /// Of the whole document, with what an engine reports.
    pub(super) hash: [u8; 32],
    pub(super) document: Slot,
}

impl Item {
    /// The flow, from where it waits.
    pub(super) fn stored(&self, spool: &Spool) -> io::Result<Stored<Flow>> {
        let item = Flow::parse(&spool.text(self.document)?).map_err(io::Error::other)?;
        Ok(Stored { item, version: self.version.clone() })
    }
}

/// Flows as far as they were read.
#[derive(Debug)]
pub(super) struct Reading {
    spool: Filling,
    items: Vec<Item>,
    refused: Vec<Obstacle>,
}

impl Reading {
    pub(super) fn begin() -> io::Result<Self> {
        Ok(Self { spool: Filling::begin()?, items: Vec::new(), refused: Vec::new() })
    }

    pub(super) fn count(&self) -> usize {
        self.items.len() + self.refused.len()
    }

    /// Takes these flows, where nobody waits for the disk.
    pub(super) async fn take(mut self, flows: Vec<Stored<Flow>>) -> io::Result<Self> {
        let taking = spawn_blocking(move || {
            flows.iter().try_for_each(|stored| self.add(stored))?;
            Ok(self)
        });
        taking.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }

    /// Those that no storage takes, so far.
    pub(super) fn refused(&self) -> &[Obstacle] {
        &self.refused
    }

    pub(super) fn add(&mut self, stored: &Stored<Flow>) -> io::Result<()> {
        let head = stored.item.head();
        match checked(stored) {
            Ok((flow, version, hash)) => {
                let document = self.spool.add(flow.document().get().as_bytes())?;
                self.items.push(Item { id: head.id, name: head.name.as_str().into(), version, hash, document });
            }
            Err(reason) => {
                self.refused.push(Obstacle { id: Some(head.id), name: Some(head.name.clone()), reason });
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<All> {
        Ok(All { spool: Arc::new(self.spool.finish()?), items: self.items.into(), refused: self.refused })
    }
}

/// All flows of a source.
#[derive(Debug)]
pub(super) struct All {
    pub(super) spool: Arc<Spool>,
    pub(super) items: Arc<[Item]>,
    /// Those that no storage takes, and why.
    pub(super) refused: Vec<Obstacle>,
}

/// The flow as it will be stored. One that comes from a database may have been written by SQL, which takes more than we do.
fn checked(stored: &Stored<Flow>) -> Result<(Flow, Version, [u8; 32]), String> {
    let refused = |Refusal { path, reason }| format!("`{path}`: {reason}");
    let flow = Flow::parse(stored.item.document().get()).map_err(refused)?;
    let hash = flow.hash(Runtime::Kept).map_err(refused)?;
    let version = stored.version.adopted(None).map_err(|_| {
        let revision = stored.version.revision;
        format!("{revision} is no revision that a flow can have")
    })?;
    Ok((flow, version, hash))
}
