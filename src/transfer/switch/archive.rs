//! Archives: all flows of a store and their histories in one file that either backend takes.
//!
//! It is gzip (RFC 1952) of lines, each a JSON object, so that `zcat` and `jq` read it:
//!
//! | line | members |
//! |---|---|
//! | the first | `strom`: `"archive"`; `format`: 1; `made_by`, the version of Strom; `at`, when; `from`, of which storage |
//! | one per flow | `flow`, the document; `version`: its `revision`, `created_at`, `updated_at` and `author`; `history` |
//! | one per deleted flow | `deleted`, its id; `history` |
//! | the last | `flows`, `deleted`, `revisions`: how many; `sha256` of all bytes before this line |
//!
//! A `history` is an array with an object for each revision that is kept, ascending: `revision`, `op`, `at`, `author` and
//! `flow`, the document that the change has left, or has deleted.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::past::{self, ReadingPasts};
use super::reading::Reading;
use super::{Hash, Switch};
use crate::flow::Flow;
use crate::repository::{Author, FeedCursor, Revision, Stored, Version};
use crate::transfer::options::Progress;

/// The format of today; a higher one is refused.
const FORMAT: u32 = 1;

/// What an archive says of itself in its first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Origin {
    /// The version of Strom that has made it.
    pub made_by: String,
    /// When the flows were read.
    pub at: DateTime<Utc>,
    /// The storage that they were in, without a password.
    pub from: String,
}

/// What is in an archive, as its last line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// How many flows.
    pub flows: usize,
    /// How many deleted flows.
    pub deleted: usize,
    /// How many revisions, of both.
    pub revisions: usize,
    /// The SHA-256 of all bytes before the last line, in hexadecimal digits.
    pub sha256: String,
}

/// Why a file is no archive that can be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It was not made by `strom backup`.
    #[error("it is no archive of Strom")]
    Foreign,
    /// A newer Strom has made it.
    #[error("its format is {0}, and this Strom reads {FORMAT}")]
    Newer(u32),
    /// It breaks off in the line of this number, counted from 1, or before it.
    #[error("it breaks off in line {0}")]
    Torn(usize),
    /// It was changed, or the disk has damaged it.
    #[error("line {line} is damaged: {problem}")]
    Damaged {
        /// Counted from 1, uncompressed.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// All can be read, and it is not what was written.
    #[error("its checksum does not hold: it was changed, or the disk has damaged it")]
    Checksum,
    /// It cannot be read, or what was read cannot be put aside.
    #[error(transparent)]
    Read(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct FirstLine<'a> {
    strom: Cow<'a, str>,
    format: u32,
    #[serde(flatten)]
    origin: Option<Origin>,
}

#[derive(Default, Serialize, Deserialize)]
struct FlowLine<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<Uuid>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    version: Option<VersionText<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    flow: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    history: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct VersionText<'a> {
    revision: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    author: Cow<'a, str>,
}

impl Switch {
    /// Writes an archive of what was read, with the histories where those were.
    ///
    /// # Errors
    /// When it cannot be written, or what was put aside cannot be read.
    pub fn write_archive(&self, origin: &Origin, out: impl Write) -> io::Result<Contents> {
        let gzip = GzEncoder::new(BufWriter::with_capacity(1 << 18, out), Compression::default());
        let mut out = Summing { inner: gzip, digest: Sha256::new() };
        let first = FirstLine { strom: "archive".into(), format: FORMAT, origin: Some(origin.clone()) };
        out.line(&first)?;
        let histories = self.histories.as_deref();
        let mut revisions = 0;
        for item in &*self.items {
            let text = self.spool.text(item.document)?;
            let past = histories.and_then(|histories| Some((histories, histories.of.get(&item.id)?)));
            let history = past.map(|(histories, past)| histories.text(past)).transpose()?;
            revisions += past.map_or(0, |(_, past)| past.count);
            let version = Some(VersionText::of(&item.version));
            let (flow, history) = (Some(raw(&text)?), history.as_deref().map(raw).transpose()?);
            out.line(&FlowLine { deleted: None, version, flow, history })?;
        }
        for gone in self.gone() {
            let history = histories.map(|histories| histories.text(&gone.past)).transpose()?;
            revisions += gone.past.count;
            let history = history.as_deref().map(raw).transpose()?;
            out.line(&FlowLine { deleted: Some(gone.id.as_uuid()), history, ..FlowLine::default() })?;
        }
        let sha256 = Hash(out.digest.clone().finalize().into()).to_string();
        let contents = Contents { flows: self.items.len(), deleted: self.gone().len(), revisions, sha256 };
        out.line(&contents)?;
        out.inner.finish()?.into_inner()?.flush()?;
        Ok(contents)
    }

    /// Whether another reading has found the same; says what it has not.
    ///
    /// # Errors
    /// With what is not the same, in words.
    pub fn is_same(&self, other: &Self) -> Result<(), String> {
        if self.items.len() != other.items.len() || self.gone().len() != other.gone().len() {
            return Err("there are not as many flows".to_owned());
        }
        let history = |switch: &Self, id| {
            let histories = switch.histories.as_ref()?;
            histories.of.get(&id).map(|past| past.hash)
        };
        let flows = self.items.iter().zip(&*other.items).find(|(ours, theirs)| {
            (ours.id, &ours.version, ours.hash) != (theirs.id, &theirs.version, theirs.hash)
                || history(self, ours.id) != history(other, theirs.id)
        });
        let gone = self.gone().iter().zip(other.gone());
        let mut gone = gone.filter(|(ours, theirs)| (ours.id, ours.past.hash) != (theirs.id, theirs.past.hash));
        let different = flows.map(|(ours, _)| ours.id).or_else(|| gone.next().map(|(ours, _)| ours.id));
        different.map_or(Ok(()), |id| Err(format!("the flow {id} is another one")))
    }

    /// Reads an archive from its beginning to its end, and checks all of it: what cannot be restored whole is refused.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn read_archive(
        input: impl Read,
        progress: Arc<dyn Progress>,
    ) -> Result<(Self, Origin, Contents), ArchiveError> {
        let mut lines = Lines::of(input)?;
        let first = lines.next()?.ok_or(ArchiveError::Foreign)?;
        let first: FirstLine<'_> = serde_json::from_str(first).map_err(|_| ArchiveError::Foreign)?;
        let origin = match (&*first.strom, first.format, first.origin) {
            ("archive", FORMAT, Some(origin)) => origin,
            ("archive", format, _) if format > FORMAT => return Err(ArchiveError::Newer(format)),
            _ => return Err(ArchiveError::Foreign),
        };
        let (mut flows, mut pasts) = (Reading::begin()?, ReadingPasts::begin()?);
        let contents = loop {
            let sum = lines.digest.clone();
            let number = lines.number + 1;
            let Some(line) = lines.next()? else { return Err(ArchiveError::Torn(number)) };
            if line.starts_with(r#"{"flows":"#)
                && let Ok(contents) = serde_json::from_str::<Contents>(line)
            {
                if Hash(sum.finalize().into()).to_string() != contents.sha256 {
                    return Err(ArchiveError::Checksum);
                }
                break contents;
            }
            let taken = take(line, &mut flows, &mut pasts);
            taken.map_err(|problem| ArchiveError::Damaged { line: number, problem })?;
            progress.read(flows.count());
        };
        if lines.next()?.is_some() {
            let problem = "nothing comes behind the line that says how many flows there are".to_owned();
            return Err(ArchiveError::Damaged { line: lines.number, problem });
        }
        let all = flows.finish()?;
        let histories = Arc::new(pasts.finish()?);
        let (spool, items) = (all.spool, all.items);
        let begun = FeedCursor::NOWHERE;
        let (refused, faults) = (Vec::new(), Vec::new());
        let this = Self { spool, progress, items, histories: Some(histories), refused, faults, begun };
        if (this.items.len(), this.gone().len()) != (contents.flows, contents.deleted) {
            return Err(ArchiveError::Checksum);
        }
        Ok((this, origin, contents))
    }
}

/// Takes what a line says, or says what is wrong with it.
fn take(line: &str, flows: &mut Reading, pasts: &mut ReadingPasts) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let line: FlowLine<'_> = serde_json::from_str(line).map_err(|error| told(&error))?;
    let records = line.history.map(|text| past::records(text.get())).transpose().map_err(|error| told(&error))?;
    let now = match (line.flow, line.version) {
        (Some(flow), Some(version)) => {
            Some(Stored { item: Flow::parse(flow.get()).map_err(|error| told(&error))?, version: version.version() })
        }
        _ if line.deleted.is_some() && records.is_some() => None,
        _ => return Err("it is neither a flow nor the history of a deleted one".to_owned()),
    };
    if let Some(stored) = &now {
        flows.add(stored).map_err(|error| told(&error))?;
    }
    pasts.take(now, records.unwrap_or_default()).map_err(|error| told(&error))?;
    let refused = flows.refused().iter().chain(&pasts.refused).next();
    refused.map_or(Ok(()), |obstacle| Err(obstacle.reason.clone()))
}

impl<'a> VersionText<'a> {
    fn of(version: &'a Version) -> Self {
        let Version { revision, created_at, updated_at, author } = version;
        Self {
            revision: revision.number(),
            created_at: *created_at,
            updated_at: *updated_at,
            author: author.as_str().into(),
        }
    }

    fn version(self) -> Version {
        let Self { revision, created_at, updated_at, author } = self;
        Version { revision: Revision::new(revision), created_at, updated_at, author: Author::new(&author) }
    }
}

fn raw(text: &str) -> io::Result<&RawValue> {
    Ok(serde_json::from_str(text)?)
}

/// Writes lines, and adds them up.
struct Summing<W> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> Summing<W> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.inner.write_all(&text)
    }
}

/// Reads lines, and adds them up.
struct Lines<R> {
    input: BufReader<MultiGzDecoder<BufReader<R>>>,
    line: String,
    number: usize,
    digest: Sha256,
}

impl<R: Read> Lines<R> {
    fn of(input: R) -> Result<Self, ArchiveError> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        // What does not begin as gzip does (RFC 1952, 2.3.1) is somebody else's.
        if !input.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            return Err(ArchiveError::Foreign);
        }
        let input = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input));
        Ok(Self { input, line: String::new(), number: 0, digest: Sha256::new() })
    }

    /// The next line without its end, which it must have.
    fn next(&mut self) -> Result<Option<&str>, ArchiveError> {
        self.line.clear();
        match self.input.read_line(&mut self.line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(self.unreadable(error)),
        }
        self.digest.update(self.line.as_bytes());
        self.number += 1;
        self.line.strip_suffix('\n').map(Some).ok_or(ArchiveError::Torn(self.number))
    }

    fn unreadable(&self, error: io::Error) -> ArchiveError {
        let line = self.number + 1;
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                ArchiveError::Damaged { line, problem: error.to_string() }
            }
            io::ErrorKind::UnexpectedEof => ArchiveError::Torn(line),
            _ => ArchiveError::Read(error),
        }
    }
}
