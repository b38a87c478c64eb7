//! Writes archives.

use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::format::{Contents, FORMAT, FirstLine, FlowLine, JsonVersion, Origin};
use crate::transfer::switch::hash::Hash;
use crate::transfer::switch::source::Switch;

impl Switch {
    /// Writes the flows, and the histories if they were read, to an archive.
    ///
    /// # Errors
    /// If `out` cannot be written or the temporary file cannot be read.
    pub fn write_archive(&self, origin: &Origin, out: impl Write) -> io::Result<Contents> {
        let gzip = GzEncoder::new(BufWriter::with_capacity(1 << 18, out), Compression::default());
        let mut out = ChecksumWriter { inner: gzip, digest: Sha256::new() };
        let first = FirstLine { strom: "archive".into(), format: FORMAT, origin: Some(origin.clone()) };
        out.line(&first)?;
        let histories = self.histories.as_deref();
        let mut revisions = 0;
        for item in &*self.items {
            let text = self.spool.text(item.document)?;
            let spooled = histories.and_then(|histories| Some((histories, histories.of_flows.get(&item.id)?)));
            let history = spooled.map(|(histories, history)| histories.text(history)).transpose()?;
            revisions += spooled.map_or(0, |(_, history)| history.count);
            let version = Some(JsonVersion::of(&item.version));
            let (flow, history) = (Some(raw(&text)?), history.as_deref().map(raw).transpose()?);
            out.line(&FlowLine { deleted: None, version, flow, history })?;
        }
        for flow in self.deleted() {
            let history = histories.map(|histories| histories.text(&flow.history)).transpose()?;
            revisions += flow.history.count;
            let history = history.as_deref().map(raw).transpose()?;
            out.line(&FlowLine { deleted: Some(flow.id.as_uuid()), history, ..FlowLine::default() })?;
        }
        let sha256 = Hash(out.digest.clone().finalize().into()).to_string();
        let contents = Contents { flows: self.items.len(), deleted: self.deleted().len(), revisions, sha256 };
        out.line(&contents)?;
        out.inner.finish()?.into_inner()?.flush()?;
        Ok(contents)
    }
}

fn raw(text: &str) -> io::Result<&RawValue> {
    Ok(serde_json::from_str(text)?)
}

/// A writer of lines that computes their checksum.
struct ChecksumWriter<W> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> ChecksumWriter<W> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.inner.write_all(&text)
    }
}
