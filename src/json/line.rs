//! The lines of journal and history: one JSON object each, checksummed.
//!
//! | a line with | says |
//! |---|---|
//! | `strom` | what the file is; the first line |
//! | `base` | a flow that was there when the journal began: its version, and the hash of its content |
//! | `gone` | a flow that is not there any more, and its last revision |
//! | `file` | `flows.json` has every change up to this number |
//! | `id` | a change, with the document |
//!
//! The checksum (`crate::disk::sealed`) and the id stand at fixed places: history is searched without reading JSON.

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::state::{Deletion, Facts, Hash, Made};
use crate::disk::sealed::{BODY, body, seal};
use crate::flow::FlowId;
use crate::repository::{Author, Revision, Version};

const ID: usize = BODY + r#""id":""#.len();
const SEQ: usize = ID + 36 + r#"","seq":"#.len();

/// Beyond it somebody has played with the number; it has to fit PostgreSQL's `bigint` with room to count on.
const MAX_REVISION: u64 = 1 << 53;

/// What a line says.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Header(Header<'a>),
    Base(FlowId, Version, Hash),
    Gone(FlowId, Deletion),
    File(u64),
    Change(Change<'a>),
}

/// The first line of a journal or a history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header<'a> {
    /// `journal` or `history`.
    pub(super) strom: Cow<'a, str>,
    pub(super) format: u32,
    /// Which log; cursors of another one mean nothing.
    pub(super) log: u64,
    /// Of a journal: the last change before it, which `flows.json` has. Of a history: the last change that it has let go.
    pub(super) after: u64,
    /// Of a journal: the last change that the history had by then.
    pub(super) kept: u64,
    /// How many `base` and `gone` lines follow.
    pub(super) lines: u64,
}

/// The format of today; a higher one is refused.
pub(super) const FORMAT: u32 = 1;

/// A change, as it stands in a line.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) id: FlowId,
    pub(super) seq: u64,
    /// The last change that was on the disk when this one was written.
    pub(super) synced: u64,
    /// The first and the last change of the same call, where it made several: they count together or not at all.
    pub(super) call: (u64, u64),
    pub(super) facts: Facts,
    pub(super) flow: &'a RawValue,
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
}

#[derive(Serialize, Deserialize)]
struct GoneLine<'a> {
    gone: Uuid,
    revision: u64,
    at: DateTime<Utc>,
    author: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct FileLine {
    file: u64,
}

pub(super) fn print_header(out: &mut Vec<u8>, header: &Header<'_>) {
    seal(out, header);
}

pub(super) fn print_base(out: &mut Vec<u8>, id: FlowId, version: &Version, hash: &Hash) {
    seal(
        out,
        &BaseLine {
            base: id.as_uuid(),
            revision: version.revision.number(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            author: version.author.as_str().into(),
            hash: hex(hash).into(),
        },
    );
}

pub(super) fn print_gone(out: &mut Vec<u8>, id: FlowId, deletion: &Deletion) {
    let (revision, author) = (deletion.revision.number(), deletion.author.as_str().into());
    seal(out, &GoneLine { gone: id.as_uuid(), revision, at: deletion.at, author });
}

pub(super) fn print_file(out: &mut Vec<u8>, seq: u64) {
    seal(out, &FileLine { file: seq });
}

/// `call` are the first and the last number of the call that made it.
pub(super) fn print_change(out: &mut Vec<u8>, made: &Made, seq: u64, synced: u64, call: (u64, u64)) {
    let facts = &made.facts;
    seal(
        out,
        &ChangeLine {
            id: made.flow.id().as_uuid(),
            seq,
            synced,
            call: (call.0 < call.1).then_some(call),
            op: facts.operation.as_str().into(),
            revision: facts.revision.number(),
            at: facts.at,
            author: facts.author.as_str().into(),
            created_at: facts.created_at,
            hash: hex(&facts.hash).into(),
            flow: made.flow.document(),
        },
    );
}

/// What the line says, without its line end. `None` when it is damaged or none of ours.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
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
            Line::Base(line.base.into(), version, unhex(&line.hash)?)
        }
        _ if kind.starts_with(b"gone\"") => {
            let line: GoneLine<'_> = serde_json::from_slice(line).ok()?;
            let deletion =
                Deletion { revision: revision(line.revision)?, at: line.at, author: Author::new(&line.author) };
            Line::Gone(line.gone.into(), deletion)
        }
        _ if kind.starts_with(b"file\"") => Line::File(serde_json::from_slice::<FileLine>(line).ok()?.file),
        _ => Line::Header(serde_json::from_slice(line).ok()?),
    })
}

fn change(line: ChangeLine<'_>) -> Option<Change<'_>> {
    let facts = Facts {
        operation: line.op.parse().ok()?,
        revision: revision(line.revision)?,
        at: line.at.trunc_subsecs(6),
        author: Author::new(&line.author),
        created_at: line.created_at.trunc_subsecs(6),
        hash: unhex(&line.hash)?,
    };
    let call = line.call.unwrap_or((line.seq, line.seq));
    Some(Change { id: line.id.into(), seq: line.seq, synced: line.synced, call, facts, flow: line.flow })
}

/// The flow that a change concerns. `None` for other lines. Does not look at the checksum.
pub(super) fn id_of(line: &[u8]) -> Option<FlowId> {
    let id = line.get(BODY..ID).filter(|name| *name == br#""id":""#).and_then(|_| line.get(ID..ID + 36))?;
    Uuid::try_parse_ascii(id).ok().map(FlowId::from)
}

/// The number of a change. `None` for other lines. Does not look at the checksum.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
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
    use crate::json::state::Made;
    use crate::repository::{Author, Operation, Revision, Stamp};

    fn line() -> (Made, Vec<u8>) {
        let flow = Flow::parse(r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"ä","n":1.10}"#).unwrap();
        let at = chrono::DateTime::from_timestamp(1_767_225_600, 1_000).unwrap();
        let stamp = Stamp::new(at, Author::new("a \"b\""));
        let hash = flow.hash(Runtime::Left).unwrap();
        let made = Made::by(&stamp, Operation::Restore, Revision::new(7), at, hash, flow);
        let mut line = Vec::new();
        print_change(&mut line, &made, 12, 9, (11, 12));
        assert_eq!(line.pop(), Some(b'\n'));
        (made, line)
    }

    #[test]
    fn a_line_says_what_was_printed() {
        let (made, line) = line();
        let Some(Line::Change(change)) = parse(&line) else { panic!("{}", String::from_utf8_lossy(&line)) };
        assert_eq!((change.id, change.seq, change.synced, change.call), (made.flow.id(), 12, 9, (11, 12)));
        assert_eq!(change.facts, made.facts);
        assert_eq!(change.flow.get(), made.flow.document().get());
        assert_eq!((id_of(&line), seq_of(&line)), (Some(made.flow.id()), Some(12)));
        serde_json::from_slice::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn no_damaged_line_is_believed() {
        let (_, line) = line();
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.clone();
                damaged[at] ^= 1 << bit;
                // Only the case of a digit of the checksum means nothing.
                let same = damaged.eq_ignore_ascii_case(&line) && (8..16).contains(&at);
                assert_eq!(parse(&damaged).is_some(), same, "byte {at}, bit {bit}");
            }
            assert!(parse(&line[..at]).is_none());
        }
    }
}
