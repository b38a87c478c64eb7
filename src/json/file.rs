//! The file: `{"version": 1, "flows": [...]}`, indented by two blanks.
//!
//! Whatever else stands at its top level stays there, byte for byte. Flows keep their places and new ones come last, so
//! a diff after one edit shows that edit. What is read here is either understood entirely or refused entirely: a file
//! with one fault in it is never taken for one with fewer flows.

use std::collections::HashMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::bookkeeping::{self, Bookkeeping};
use super::state::{Entry, State};
use crate::flow::{Flow, FlowId, Node, Path, Refusal, Runtime};
use crate::repository::Stamp;

/// What stands at the top level, in its order.
#[derive(Debug, Clone)]
pub(super) enum Member {
    /// The flows.
    Flows,
    /// Our bookkeeping.
    Strom,
    /// The version and whatever we do not know: name and exact text of the value.
    Other(String, String),
}

/// Why a file is refused.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) problem: String,
    pub(super) remedy: &'static str,
}

const RESTORE: &str = "Restore the file from a backup, or move it away to begin without flows.";
const CORRECT: &str = "Correct the file there, or restore it from a backup.";

/// What a store without a file begins with.
pub(super) fn empty() -> State {
    State::new(vec![Member::Other("version".into(), "1".into()), Member::Flows])
}

/// Reads a file. `found` stamps the changes that were made to it behind our back.
pub(super) fn read(bytes: &[u8], found: &Stamp) -> Result<State, Fault> {
    let text = str::from_utf8(bytes).map_err(|error| Fault {
        problem: format!("the file is not UTF-8 from byte {} on", error.valid_up_to()),
        remedy: RESTORE,
    })?;
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Fault { problem: "the file is empty".into(), remedy: RESTORE });
    }
    let members = members(text)?;
    check_version(find(&members, "version"))?;
    let flows = find(&members, "flows").ok_or_else(|| fault("`$.flows`: missing", CORRECT))?;
    let bookkeeping = find(&members, "strom").map_or_else(Bookkeeping::default, bookkeeping::read);
    let mut state = State::new(members.iter().map(member).collect());
    let mut places = HashMap::new();
    for (index, text) in array(flows)?.into_iter().enumerate() {
        let at = |refusal: Refusal| fault(&inside(refusal, index).to_string(), CORRECT);
        let flow = Flow::parse(text.get()).map_err(at)?;
        if let Some(first) = places.insert(flow.id(), index) {
            return Err(duplicate(flow.id(), first, index));
        }
        let hash = flow.hash(Runtime::Left).map_err(at)?;
        let version = bookkeeping.version_of(flow.id(), &hash, found);
        state.insert_last(flow, version, hash);
    }
    state.set_deleted(bookkeeping.deletions(|id| places.contains_key(&id), found));
    Ok(state)
}

/// Prints a file.
pub(super) fn print(state: &State) -> Result<String, Refusal> {
    let entries = state.in_file_order();
    Ok(lay_out(state, &print_flows(&entries)?, &bookkeeping::print(&entries, state.deleted())))
}

/// A file that was read, its flows to the letter, with the bookkeeping that it lacks: the revisions of changes that
/// somebody else made. `None` where it lacks nothing.
pub(super) fn with_bookkeeping(bytes: &[u8], state: &State) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    let members = members(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    let wanted = RawValue::from_string(bookkeeping::print(&state.in_file_order(), state.deleted())).ok()?;
    let kept = find(&members, "strom").map_or_else(Bookkeeping::default, bookkeeping::read);
    let flows = find(&members, "flows").map_or("[]", RawValue::get);
    (kept != bookkeeping::read(&wanted)).then(|| lay_out(state, flows, wanted.get()))
}

fn lay_out(state: &State, flows: &str, bookkeeping: &str) -> String {
    let mut out = String::from("{");
    let mut separator = "\n  ";
    let mut begin = |out: &mut String, name: &str| {
        out.push_str(separator);
        out.push_str(&Node::String(name.into()).to_compact());
        out.push_str(": ");
        separator = ",\n  ";
    };
    let has_own = state.members().iter().any(|member| matches!(member, Member::Strom));
    for member in state.members() {
        match member {
            Member::Other(name, value) => {
                begin(&mut out, name);
                out.push_str(value);
            }
            Member::Flows => {
                begin(&mut out, "flows");
                out.push_str(flows);
            }
            Member::Strom => {}
        }
        if matches!((member, has_own), (Member::Strom, _) | (Member::Flows, false)) {
            begin(&mut out, "strom");
            out.push_str(bookkeeping);
        }
    }
    out.push_str("\n}\n");
    out
}

fn print_flows(flows: &[&Entry]) -> Result<String, Refusal> {
    let mut out = String::from("[");
    for (index, entry) in flows.iter().enumerate() {
        out.push_str(if index == 0 { "\n    " } else { ",\n    " });
        entry.stored.item.node()?.write_pretty(&mut out, 2);
    }
    out.push_str(if flows.is_empty() { "]" } else { "\n  ]" });
    Ok(out)
}

/// A document may be nested as deep as our own reader allows, and the file is two levels deeper; so the top is read by
/// serde_json, which does not descend into raw values.
fn members(text: &str) -> Result<Vec<(String, &RawValue)>, Fault> {
    let not_json = |error: serde_json::Error| fault(&format!("`$`: not JSON: {error}"), RESTORE);
    let whole: &RawValue = serde_json::from_str(text).map_err(not_json)?;
    if !whole.get().starts_with('{') {
        return Err(fault("`$`: expected an object with `version` and `flows`", CORRECT));
    }
    let members = serde_json::Deserializer::from_str(text).deserialize_map(Members).map_err(not_json)?;
    let repeated = (1..members.len()).find(|&i| members[..i].iter().any(|(name, _)| *name == members[i].0));
    match repeated {
        None => Ok(members),
        Some(i) => Err(fault(&format!("`{}`: the member occurs twice", Path::member(&members[i].0)), CORRECT)),
    }
}

/// Members in their order, repeated ones included.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

fn member((name, value): &(String, &RawValue)) -> Member {
    match name.as_str() {
        "flows" => Member::Flows,
        "strom" => Member::Strom,
        _ => Member::Other(name.clone(), value.get().to_owned()),
    }
}

fn find<'a>(members: &[(String, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    members.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
}

fn check_version(version: Option<&RawValue>) -> Result<(), Fault> {
    let number = version.map(|version| serde_json::from_str::<f64>(version.get()).unwrap_or(f64::NAN));
    match number {
        Some(1.0) => Ok(()),
        Some(number) if number > 1.0 => Err(fault(
            "`$.version`: the file is of a newer version than 1",
            "Open it with the newer Strom that wrote it, or restore a file of version 1.",
        )),
        Some(_) => Err(fault("`$.version`: expected 1", CORRECT)),
        None => {
            Err(fault("`$.version`: missing", "If this is a file of flows, add `\"version\": 1` at its top level."))
        }
    }
}

fn array(flows: &RawValue) -> Result<Vec<&RawValue>, Fault> {
    serde_json::from_str(flows.get()).map_err(|_| fault("`$.flows`: expected an array", CORRECT))
}

fn inside(refusal: Refusal, index: usize) -> Refusal {
    Refusal { path: refusal.path.inside_index(index).inside_member("flows"), ..refusal }
}

fn duplicate(id: FlowId, first: usize, second: usize) -> Fault {
    let problem = format!("`$.flows[{second}].id`: the flow {id} is there already, as `$.flows[{first}]`");
    Fault { problem, remedy: "Remove one of the two, or give it another id." }
}

fn fault(problem: &str, remedy: &'static str) -> Fault {
    Fault { problem: problem.to_owned(), remedy }
}
