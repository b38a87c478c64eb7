//! Collects the parts of a file and checks them.

use std::collections::HashMap;

use super::content::{Content, FileFlow};
use super::file_reader::FilePart;
use super::member::{Member, Quarantined};
use crate::envelope::{self, InvalidVersion};
use crate::flow::{Flow, FlowId, Path, Refusal};
use crate::json::journal::Hash;

/// Why the store rejects a file.
#[derive(Debug)]
pub(crate) struct FileError {
    pub(crate) problem: String,
    pub(crate) remedy: &'static str,
}

pub(crate) const RESTORE: &str = "Restore the file from a backup, or move the file to another path to start without \
                                  it.";
pub(crate) const CORRECT: &str = "Correct the file at this path, or restore it from a backup.";

#[derive(Default)]
pub(crate) struct ContentBuilder {
    flows: Vec<FileFlow>,
    ids: HashMap<FlowId, u64>,
    pub(crate) members: Vec<Member>,
    quarantined: Vec<Quarantined>,
    pub(crate) position: u64,
    pub(crate) fault: Option<FileError>,
}

impl ContentBuilder {
    pub(crate) fn finish(self) -> Result<Content, FileError> {
        let version = self.members.iter().find_map(|member| match member {
            Member::Other(name, value) if name == "version" => Some(value),
            _ => None,
        });
        check_version(version)?;
        if !self.members.contains(&Member::Flows) {
            return Err(file_error("`$.flows`: missing", CORRECT));
        }
        let Self { flows, members, quarantined, .. } = self;
        Ok(Content { flows, members: members.into(), quarantined: quarantined.into() })
    }

    /// Adds a part. Returns whether to continue.
    pub(crate) fn take(&mut self, part: FilePart<'_>) -> bool {
        match part {
            FilePart::Flow(text, read) => self.flow(text, read),
            FilePart::Flows => self.member("flows", Member::Flows),
            FilePart::Member(name, value) => {
                self.member(name, Member::Other(name.to_owned(), value.to_owned()));
                // A file of a newer version may have another structure from here on.
                if name == "version" && self.fault.is_none() {
                    self.fault = check_version(Some(value)).err();
                }
            }
        }
        self.fault.is_none()
    }

    fn member(&mut self, name: &str, member: Member) {
        let is_same = |other: &Member| match other {
            Member::Flows => name == "flows",
            Member::Other(other, _) => other == name,
        };
        if self.members.iter().any(is_same) {
            self.fault = Some(file_error(&format!("`{}`: the member is duplicated", Path::member(name)), CORRECT));
        }
        self.members.push(member);
    }

    fn flow(&mut self, text: &str, read: Result<(Flow, Hash), Refusal>) {
        let position = self.position;
        self.position += 1;
        let problem = match read {
            Ok((flow, hash)) => match self.ids.insert(flow.id(), position) {
                None => {
                    self.flows.push(FileFlow { flow, hash, position });
                    return;
                }
                Some(first) => {
                    self.ids.insert(flow.id(), first);
                    format!("`$.flows[{position}].id`: the flow {} is a duplicate of `$.flows[{first}]`", flow.id())
                }
            },
            Err(refusal) => inside(refusal, position).to_string(),
        };
        self.quarantined.push(Quarantined { text: text.into(), position, id: id_of(text), problem });
    }
}

/// Returns the id of a quarantined value, if it has one.
fn id_of(text: &str) -> Option<FlowId> {
    #[derive(serde::Deserialize)]
    struct WithId {
        id: String,
    }
    serde_json::from_str::<WithId>(text).ok()?.id.parse().ok()
}

fn inside(refusal: Refusal, position: u64) -> Refusal {
    let index = usize::try_from(position).unwrap_or(usize::MAX);
    Refusal { path: refusal.path.inside_index(index).inside_member("flows"), ..refusal }
}

fn check_version(version: Option<impl AsRef<str>>) -> Result<(), FileError> {
    let Some(version) = version else {
        let remedy = "If this is a file of flows, add `\"version\": 1` at its top level.";
        return Err(file_error("`$.version`: missing", remedy));
    };
    envelope::check_version(version.as_ref()).map_err(|invalid| match invalid {
        InvalidVersion::Newer => file_error(
            "`$.version`: the version is higher than 1",
            "Open the file with the newer version of Strom that wrote it, or restore a file of version 1.",
        ),
        InvalidVersion::Other => file_error("`$.version`: expected 1", CORRECT),
    })
}

pub(crate) fn file_error(problem: &str, remedy: &'static str) -> FileError {
    FileError { problem: problem.to_owned(), remedy }
}
