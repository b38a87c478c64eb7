//! The member `strom` of the file: what the store keeps beside the documents.
//!
//! Nothing in it decides which flows there are; that is `flows` alone. What is missing here or does not fit was changed
//! by somebody else, and is taken for a change by `file`. So a file that was written by hand, by an older Strom or by a
//! program that drops our member is a good file.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::state::{Deletion, Entry, Hash};
use crate::flow::FlowId;
use crate::repository::{Author, Revision, Stamp, Version};

/// Beyond it somebody has played with the number; it has to fit PostgreSQL's `bigint` with room to count on.
const MAX_REVISION: u64 = 1 << 53;

/// What was kept when the file was last written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Bookkeeping {
    flows: HashMap<FlowId, (Version, String)>,
    deleted: HashMap<FlowId, Deletion>,
}

#[derive(Serialize, Deserialize)]
struct FlowLine<'a> {
    revision: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    author: Cow<'a, str>,
    hash: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct DeletionLine<'a> {
    revision: u64,
    deleted_at: DateTime<Utc>,
    author: Cow<'a, str>,
}

/// Reads what can be read. Lines of another shape count as missing.
pub(super) fn read(member: &RawValue) -> Bookkeeping {
    let sections: HashMap<String, &RawValue> = read_or_default(member.get(), "strom");
    let lines = |name: &str| -> HashMap<String, &RawValue> {
        sections.get(name).map_or_else(HashMap::new, |section| read_or_default(section.get(), name))
    };
    let flows = lines("flows").into_iter().filter_map(|(id, line)| {
        let line: FlowLine<'_> = serde_json::from_str(line.get()).ok()?;
        Some((id.parse().ok()?, (version(&line)?, line.hash.into_owned())))
    });
    let deleted = lines("deleted").into_iter().filter_map(|(id, line)| {
        let line: DeletionLine<'_> = serde_json::from_str(line.get()).ok()?;
        Some((id.parse().ok()?, deletion(&line)?))
    });
    Bookkeeping { flows: flows.collect(), deleted: deleted.collect() }
}

fn read_or_default<'a, T: Deserialize<'a> + Default>(text: &'a str, member: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::warn!(member, %error, "bookkeeping in the file cannot be read; revisions begin anew");
        T::default()
    })
}

impl Bookkeeping {
    /// The version of a flow that was found in the file with this content.
    pub(super) fn version_of(&self, id: FlowId, hash: &Hash, found: &Stamp) -> Version {
        let before = self.flows.get(&id);
        let last_revision = before.map(|(version, _)| version.revision).max(self.deleted.get(&id).map(|d| d.revision));
        match before {
            Some((version, known)) if *known == hex(hash) => version.clone(),
            _ => Version {
                revision: last_revision.map_or(Revision::FIRST, Revision::next),
                created_at: before.map_or(found.at, |(version, _)| version.created_at),
                updated_at: found.at,
                author: found.author.clone(),
            },
        }
    }

    /// The ids that have no flow any more, those included that somebody took out of the file.
    pub(super) fn deletions(&self, is_there: impl Fn(FlowId) -> bool, found: &Stamp) -> BTreeMap<FlowId, Deletion> {
        let taken_out = self.flows.iter().map(|(id, (version, _))| {
            let revision = version.revision.next();
            (*id, Deletion { revision, at: found.at, author: found.author.clone() })
        });
        let known = self.deleted.iter().map(|(id, deletion)| (*id, deletion.clone()));
        let mut deletions: BTreeMap<FlowId, Deletion> = BTreeMap::new();
        for (id, deletion) in known.chain(taken_out).filter(|(id, _)| !is_there(*id)) {
            if deletions.get(&id).is_none_or(|other| other.revision < deletion.revision) {
                deletions.insert(id, deletion);
            }
        }
        deletions
    }
}

fn version(line: &FlowLine<'_>) -> Option<Version> {
    Some(Version {
        revision: revision(line.revision)?,
        created_at: line.created_at.trunc_subsecs(6),
        updated_at: line.updated_at.trunc_subsecs(6),
        author: Author::new(&line.author),
    })
}

fn deletion(line: &DeletionLine<'_>) -> Option<Deletion> {
    let revision = revision(line.revision)?;
    Some(Deletion { revision, at: line.deleted_at.trunc_subsecs(6), author: Author::new(&line.author) })
}

fn revision(number: u64) -> Option<Revision> {
    (1..=MAX_REVISION).contains(&number).then(|| Revision::new(number))
}

/// One line per flow, so that a diff after one edit has one line more.
pub(super) fn print(flows: &[&Entry], deleted: &BTreeMap<FlowId, Deletion>) -> String {
    let flows = flows.iter().map(|Entry { stored, hash, .. }| {
        let version = &stored.version;
        let line = FlowLine {
            revision: version.revision.number(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            author: version.author.as_str().into(),
            hash: hex(hash).into(),
        };
        (stored.item.id(), to_json(&line))
    });
    let deleted = deleted.iter().map(|(id, deletion)| {
        let line = DeletionLine {
            revision: deletion.revision.number(),
            deleted_at: deletion.at,
            author: deletion.author.as_str().into(),
        };
        (*id, to_json(&line))
    });
    let mut out = String::from("{\n    \"flows\": ");
    print_lines(&mut out, flows);
    out.push_str(",\n    \"deleted\": ");
    print_lines(&mut out, deleted);
    out.push_str("\n  }");
    out
}

fn print_lines(out: &mut String, lines: impl Iterator<Item = (FlowId, String)>) {
    out.push('{');
    let mut end = "}";
    for (index, (id, line)) in lines.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        out.push_str(&format!("{separator}\n      \"{id}\": {line}"));
        end = "\n    }";
    }
    out.push_str(end);
}

fn to_json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("numbers, times and strings are JSON")
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
