//! Prints the file.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::member::{Member, Quarantined};
use crate::flow::Node;
use crate::json::state::{FlowEntry, State};

/// Prints the file. Returns the hash of its content.
pub(crate) fn write(state: &State, out: &mut dyn Write) -> io::Result<[u8; 32]> {
    let mut out = Hashing { out, hasher: Sha256::new() };
    print(state, &mut out)?;
    Ok(out.hasher.finalize().into())
}

/// Returns the hash of the content of a file.
pub(crate) fn digest(mut file: impl Read) -> io::Result<[u8; 32]> {
    let mut nothing = io::sink();
    let mut out = Hashing { out: &mut nothing, hasher: Sha256::new() };
    io::copy(&mut file, &mut out)?;
    Ok(out.hasher.finalize().into())
}

/// A writer that hashes what it writes.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn print(state: &State, out: &mut dyn Write) -> io::Result<()> {
    let mut separator = "{\n  ";
    for member in state.members() {
        out.write_all(separator.as_bytes())?;
        separator = ",\n  ";
        match member {
            Member::Other(name, value) => {
                let name = Node::String(name.into()).to_compact();
                write!(out, "{name}: {value}")?;
            }
            Member::Flows => {
                out.write_all(b"\"flows\": ")?;
                write_flows(state, out)?;
            }
        }
    }
    out.write_all(b"\n}\n")
}

enum Item<'a> {
    Flow(&'a FlowEntry),
    Quarantined(&'a Quarantined),
}

fn write_flows(state: &State, out: &mut dyn Write) -> io::Result<()> {
    let flows = state.entries().map(|entry| (entry.position, Item::Flow(entry)));
    let quarantined = state.quarantined().iter().map(|bad| (bad.position, Item::Quarantined(bad)));
    let mut items: Vec<_> = flows.chain(quarantined).collect();
    items.sort_unstable_by_key(|(position, _)| *position);
    let mut text = String::new();
    for (index, (_, item)) in items.iter().enumerate() {
        text.clear();
        text.push_str(if index == 0 { "[\n    " } else { ",\n    " });
        match item {
            Item::Flow(entry) => entry.stored.item.node().map_err(io::Error::other)?.write_pretty(&mut text, 2),
            Item::Quarantined(bad) => text.push_str(&bad.text),
        }
        out.write_all(text.as_bytes())?;
    }
    out.write_all(if items.is_empty() { b"[]" } else { b"\n  ]" })
}
