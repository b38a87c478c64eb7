//! Reads, checks, hashes and spools the flows of a source.

use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::report::Obstacle;
use crate::transfer::spool::{Slot, Spool, SpoolWriter};
use strom_store::flow::{Flow, FlowId, Refusal, Runtime};
use strom_store::repository::{Stored, Version};

/// Maximum number of flows that one blocking task checks.
pub(super) const CHUNK: usize = 256;

/// A flow of the source without its document, which is in the spool.
#[derive(Debug)]
pub(super) struct SourceFlow {
    pub(super) id: FlowId,
    pub(super) name: Box<str>,
    pub(super) version: Version,
    /// The hash with runtime members.
    pub(super) hash: [u8; 32],
    pub(super) document: Slot,
}

impl SourceFlow {
    /// Reads the flow from the spool.
    pub(super) fn stored(&self, spool: &Spool) -> io::Result<Stored<Flow>> {
        let item = Flow::parse(&spool.text(self.document)?).map_err(io::Error::other)?;
        Ok(Stored { item, version: self.version.clone() })
    }
}

/// A reader of flows.
#[derive(Debug)]
pub(super) struct FlowReader {
    spool: SpoolWriter,
    items: Vec<SourceFlow>,
    refused: Vec<Obstacle>,
}

impl FlowReader {
    pub(super) fn begin() -> io::Result<Self> {
        Ok(Self { spool: SpoolWriter::create()?, items: Vec::new(), refused: Vec::new() })
    }

    pub(super) fn count(&self) -> usize {
        self.items.len() + self.refused.len()
    }

    /// Adds flows on a blocking thread, because this hashes documents and writes to the disk.
    pub(super) async fn add_all(mut self, flows: Vec<Stored<Flow>>) -> io::Result<Self> {
        let adding = spawn_blocking(move || {
            flows.iter().try_for_each(|stored| self.add(stored))?;
            Ok(self)
        });
        adding.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }

    /// Returns the flows that no storage accepts.
    pub(super) fn refused(&self) -> &[Obstacle] {
        &self.refused
    }

    pub(super) fn add(&mut self, stored: &Stored<Flow>) -> io::Result<()> {
        let head = stored.item.head();
        match check(stored) {
            Ok((flow, version, hash)) => {
                let document = self.spool.add(flow.document().get().as_bytes())?;
                self.items.push(SourceFlow { id: head.id, name: head.name.as_str().into(), version, hash, document });
            }
            Err(reason) => {
                self.refused.push(Obstacle { id: Some(head.id), name: Some(head.name.clone()), reason });
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<SourceSnapshot> {
        Ok(SourceSnapshot { spool: Arc::new(self.spool.finish()?), items: self.items.into(), refused: self.refused })
    }
}

/// All flows of a source.
#[derive(Debug)]
pub(super) struct SourceSnapshot {
    pub(super) spool: Arc<Spool>,
    pub(super) items: Arc<[SourceFlow]>,
    /// Flows that no storage accepts.
    pub(super) refused: Vec<Obstacle>,
}

/// Checks a flow. A document that was written by SQL may be invalid.
fn check(stored: &Stored<Flow>) -> Result<(Flow, Version, [u8; 32]), String> {
    let refused = |Refusal { path, reason, .. }| format!("`{path}`: {reason}");
    let flow = Flow::parse(stored.item.document().get()).map_err(refused)?;
    let hash = flow.hash(Runtime::Include).map_err(refused)?;
    let version = stored.version.adopted(None).map_err(|_| {
        let revision = stored.version.revision;
        format!("{revision} is not a valid revision")
    })?;
    Ok((flow, version, hash))
}
