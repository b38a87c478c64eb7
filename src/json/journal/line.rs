//! The lines of journal and history. Each line is a JSON object with a checksum.
//!
//! | first member | content |
//! |---|---|
//! | `strom` | the header, which is the first line |
//! | `base` | a flow at the beginning of the journal: its version, its hash, its newest report, and the runtime members that the file has contained |
//! | `gone` | the tombstone of a deleted flow |
//! | `file` | the last change that `flows.json` contains |
//! | `id` | a change with its document |
//!
//! The checksum (`crate::disk::sealed`) and the id are at fixed offsets, so that a search does not parse JSON.

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::entry::{ChangeMeta, FlowVersion, Hash, JournalEntry, Report, Tombstone};
use crate::disk::sealed::{BODY, body, seal};
use crate::flow::FlowId;
use crate::repository::{Author, Revision, Version};

const ID: usize = BODY + r#""id":""#.len();
const SEQ: usize = ID + 36 + r#"","seq":"#.len();

/// The highest valid revision. It fits PostgreSQL's `bigint` and leaves room for further revisions.
const MAX_REVISION: u64 = 1 << 53;

/// The content of a line.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    Header(Header<'a>),
    Base(FlowId, FlowVersion, Vec<u64>),
    Tombstone(FlowId, Tombstone),
    File(u64),
    Change(Change<'a>),
}

/// The first line of a journal or a history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Header<'a> {
    /// `journal` or `history`.
    pub(crate) strom: Cow<'a, str>,
    pub(crate) format: u32,
    /// The id of the log. Cursors of another log are invalid.
    pub(crate) log: u64,
    /// In a journal: the last change before it, which `flows.json` contains. In a history: the last change that the
    /// retention has removed.
    pub(crate) after: u64,
    /// In a journal: the last change that the history contained when the journal began.
    pub(crate) kept: u64,
    /// The number of `base` and `gone` lines that follow.
    pub(crate) lines: u64,
}

/// The current format. The store rejects a higher one.
pub(crate) const FORMAT: u32 = 1;

/// A change as a line contains it.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) id: FlowId,
    pub(crate) seq: u64,
    /// The last change that was synced when this one was written.
    pub(crate) synced: u64,
    /// The first and last change of the same call. They count together or not at all.
    pub(crate) call: (u64, u64),
    pub(crate) meta: ChangeMeta,
    pub(crate) flow: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct ChangeLine<'a> {
    id: Uuid,
    seq: u64,
    synced: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<(u64, u64)>,
    op: Cow<'a, str>,
    revision: u64,
    at: DateTime<Utc>,
    author: Cow<'a, str>,
    created_at: DateTime<Utc>,
    hash: Cow<'a, str>,
    #[serde(borrow)]
    flow: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct BaseLine<'a> {
    base: Uuid,
    revision: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    author: Cow<'a, str>,
    hash: Cow<'a, str>,
    /// Files of older versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<ReportPart<'a>>,
    /// Marks of the runtime members that `flows.json` contains and has contained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    read: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct ReportPart<'a> {
    seq: u64,
    at: DateTime<Utc>,
    author: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct TombstoneLine<'a> {
    gone: Uuid,
    revision: u64,
    at: DateTime<Utc>,
    author: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct FileLine {
    file: u64,
}

pub(crate) fn print_header(out: &mut Vec<u8>, header: &Header<'_>) {
    seal(out, header);
}

/// Returns the first line of a history. `after` is the last change that the retention has removed.
pub(crate) fn history_header(log: u64, after: u64) -> Vec<u8> {
    let mut text = Vec::new();
    print_header(&mut text, &Header { strom: "history".into(), format: FORMAT, log, after, kept: 0, lines: 0 });
    text
}

pub(crate) fn print_base(out: &mut Vec<u8>, id: FlowId, flow: &FlowVersion, read: &[u64]) {
    let FlowVersion { version, hash, report } = flow;
    let part = |Report { seq, at, author }: &Report| {
        let author = author.as_str().to_owned().into();
        ReportPart { seq: *seq, at: *at, author }
    };
    seal(
        out,
        &BaseLine {
            base: id.as_uuid(),
            revision: version.revision.number(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            author: version.author.as_str().into(),
            hash: hex(hash).into(),
            report: report.as_ref().map(part),
            read: read.to_vec(),
        },
    );
}

pub(crate) fn print_tombstone(out: &mut Vec<u8>, id: FlowId, tombstone: &Tombstone) {
    let (revision, author) = (tombstone.revision.number(), tombstone.author.as_str().into());
    seal(out, &TombstoneLine { gone: id.as_uuid(), revision, at: tombstone.at, author });
}

pub(crate) fn print_file(out: &mut Vec<u8>, seq: u64) {
    seal(out, &FileLine { file: seq });
}

/// Prints a change. `call` contains the first and last number of its call.
pub(crate) fn print_change(out: &mut Vec<u8>, entry: &JournalEntry, seq: u64, synced: u64, call: (u64, u64)) {
    let meta = &entry.meta;
    seal(
        out,
        &ChangeLine {
            id: entry.flow.id().as_uuid(),
            seq,
            synced,
            call: (call.0 < call.1).then_some(call),
            op: meta.operation.as_str().into(),
            revision: meta.revision.number(),
            at: meta.at,
            author: meta.author.as_str().into(),
            created_at: meta.created_at,
            hash: hex(&meta.hash).into(),
            flow: entry.flow.document(),
        },
    );
}

/// Parses a line without its line end. Returns `None` if it is damaged or not a line of this format.
pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let kind = body(line)?.get(1..)?;
    Some(match kind {
        _ if kind.starts_with(b"id\"") => Line::Change(change(serde_json::from_slice(line).ok()?)?),
        _ if kind.starts_with(b"base\"") => {
            let line: BaseLine<'_> = serde_json::from_slice(line).ok()?;
            let version = Version {
                revision: revision(line.revision)?,
                created_at: line.created_at.trunc_subsecs(6),
                updated_at: line.updated_at.trunc_subsecs(6),
                author: Author::new(&line.author),
            };
            let report = line.report.map(|ReportPart { seq, at, author }| {
                let (at, author) = (at.trunc_subsecs(6), Author::new(&author));
                Report { seq, at, author }
            });
            Line::Base(line.base.into(), FlowVersion { version, hash: unhex(&line.hash)?, report }, line.read)
        }
        _ if kind.starts_with(b"gone\"") => {
            let line: TombstoneLine<'_> = serde_json::from_slice(line).ok()?;
            let tombstone =
                Tombstone { revision: revision(line.revision)?, at: line.at, author: Author::new(&line.author) };
            Line::Tombstone(line.gone.into(), tombstone)
        }
        _ if kind.starts_with(b"file\"") => Line::File(serde_json::from_slice::<FileLine>(line).ok()?.file),
        _ => Line::Header(serde_json::from_slice(line).ok()?),
    })
}

fn change(line: ChangeLine<'_>) -> Option<Change<'_>> {
    let meta = ChangeMeta {
        operation: line.op.parse().ok()?,
        revision: revision(line.revision)?,
        at: line.at.trunc_subsecs(6),
        author: Author::new(&line.author),
        created_at: line.created_at.trunc_subsecs(6),
        hash: unhex(&line.hash)?,
    };
    let call = line.call.unwrap_or((line.seq, line.seq));
    Some(Change { id: line.id.into(), seq: line.seq, synced: line.synced, call, meta, flow: line.flow })
}

/// Returns the flow of a change, `None` for other lines. Does not verify the checksum.
pub(crate) fn id_of(line: &[u8]) -> Option<FlowId> {
    let id = line.get(BODY..ID).filter(|name| *name == br#""id":""#).and_then(|_| line.get(ID..ID + 36))?;
    Uuid::try_parse_ascii(id).ok().map(FlowId::from)
}

/// Returns the number of a change, `None` for other lines. Does not verify the checksum.
pub(crate) fn seq_of(line: &[u8]) -> Option<u64> {
    line.get(BODY..ID).filter(|name| *name == br#""id":""#)?;
    let digits = line.get(SEQ..)?;
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

fn revision(number: u64) -> Option<Revision> {
    (1..=MAX_REVISION).contains(&number).then(|| Revision::new(number))
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    for (half, bytes) in hash.chunks_exact_mut(16).enumerate() {
        let digits = text.get(half * 32..half * 32 + 32)?;
        bytes.copy_from_slice(&u128::from_str_radix(digits, 16).ok()?.to_be_bytes());
    }
    (text.len() == 64).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::{Line, id_of, parse, print_change, seq_of};
    use crate::flow::{Flow, Runtime};
    use crate::json::journal::entry::JournalEntry;
    use crate::repository::{Author, Operation, Revision, Stamp};

    fn line() -> (JournalEntry, Vec<u8>) {
        let flow = Flow::parse(r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"ä","n":1.10}"#).unwrap();
        let at = chrono::DateTime::from_timestamp(1_767_225_600, 1_000).unwrap();
        let stamp = Stamp::new(at, Author::new("a \"b\""));
        let hash = flow.hash(Runtime::Exclude).unwrap();
        let entry = JournalEntry::by(&stamp, Operation::Restore, Revision::new(7), at, hash, flow);
        let mut line = Vec::new();
        print_change(&mut line, &entry, 12, 9, (11, 12));
        assert_eq!(line.pop(), Some(b'\n'));
        (entry, line)
    }

    #[test]
    fn a_line_says_what_was_printed() {
        let (entry, line) = line();
        let Some(Line::Change(change)) = parse(&line) else { panic!("{}", String::from_utf8_lossy(&line)) };
        assert_eq!((change.id, change.seq, change.synced, change.call), (entry.flow.id(), 12, 9, (11, 12)));
        assert_eq!(change.meta, entry.meta);
        assert_eq!(change.flow.get(), entry.flow.document().get());
        assert_eq!((id_of(&line), seq_of(&line)), (Some(entry.flow.id()), Some(12)));
        serde_json::from_slice::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn no_damaged_line_is_believed() {
        let (_, line) = line();
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.clone();
                damaged[at] ^= 1 << bit;
                // The case of a hexadecimal digit of the checksum has no meaning.
                let same = damaged.eq_ignore_ascii_case(&line) && (8..16).contains(&at);
                assert_eq!(parse(&damaged).is_some(), same, "byte {at}, bit {bit}");
            }
            assert!(parse(&line[..at]).is_none());
        }
    }
}
