//! Writes a directory with one file per flow (`strom export --format dir`), for version control.
//!
//! The hidden file `.strom-export` lists the files that the last export wrote. An export deletes a file only if this list
//! contains it, and its flow was deleted or renamed. A name is added to the list before its file is created. Otherwise an
//! interrupted export would leave files that no export deletes, and that an import would store.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use futures::StreamExt;
use strom_store::FlowRepository;
use strom_store::flow::{FlowId, Head, Runtime};
use tokio::task::coop::consume_budget;

use super::answer::Answer;
use super::failure::Failure;
use super::omitted::Omitted;
use super::output_file::{create_temporary, delete_leftovers};
use super::progress::Bar;

const LIST_FILE: &str = ".strom-export";
/// Maximum number of characters of a flow's name in a file name.
const MAX_SLUG: usize = 60;

/// Writes all flows to the directory.
pub(super) async fn write(
    repository: &dyn FlowRepository,
    directory: &Path,
    runtime: Runtime,
    despite_faults: bool,
    bar: &Bar,
) -> Result<Answer, Failure> {
    let failed = |path: &Path, source| Failure::Export { file: path.display().to_string(), source };
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    delete_leftovers(directory);
    let before = read_list(directory).map_err(|error| failed(&directory.join(LIST_FILE), error))?;
    let (mut names, mut omitted) = (BTreeSet::new(), Omitted::none(despite_faults));
    let mut flows = repository.snapshot();
    while let Some(stored) = flows.next().await {
        let flow = stored?.item;
        let name = file_name(flow.head());
        let path = directory.join(&name);
        let text = match flow.canonical_pretty(runtime) {
            Ok(text) => text + "\n",
            Err(refusal) => {
                // The file of an earlier version of the flow remains.
                names.extend(before.iter().filter(|name| name.ends_with(&format!("{}.json", flow.id()))).cloned());
                omitted.add(&flow, refusal);
                continue;
            }
        };
        if !before.contains(&name) {
            add_to_list(directory, &name).map_err(|error| failed(&directory.join(LIST_FILE), error))?;
        }
        replace(directory, &path, &text).map_err(|error| failed(&path, error))?;
        names.insert(name);
        bar.set(names.len() as u64);
        // Notices a signal also if all flows are in memory.
        consume_budget().await;
    }
    for name in before.difference(&names) {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&path, error)),
            _ => {}
        }
    }
    let path = directory.join(LIST_FILE);
    let list: String = names.iter().flat_map(|name| [name, "\n"]).collect();
    replace(directory, &path, &list).map_err(|error| failed(&path, error))?;
    omitted.outcome()
}

/// Adds a name to the list.
fn add_to_list(directory: &Path, name: &str) -> io::Result<()> {
    let mut list = File::options().append(true).create(true).mode(0o600).open(directory.join(LIST_FILE))?;
    list.write_all(format!("{name}\n").as_bytes())
}

/// Replaces a file atomically, unless it already has this content.
fn replace(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    let mut file = create_temporary(directory)?;
    file.write_all(text.as_bytes())?;
    if let Ok(found) = fs::metadata(path) {
        file.as_file().set_permissions(found.permissions())?;
    }
    file.persist(path)?;
    Ok(())
}

/// Reads the file names of an earlier export. Ignores names that an export would not write.
fn read_list(directory: &Path) -> io::Result<BTreeSet<String>> {
    match fs::read_to_string(directory.join(LIST_FILE)) {
        Ok(list) => Ok(list.lines().filter(|name| is_export_name(name)).map(str::to_owned).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

fn is_export_name(name: &str) -> bool {
    let bare = name.strip_suffix(".json");
    let id = bare.and_then(|bare| bare.get(bare.len().checked_sub(36)?..));
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    id.is_some_and(|id| id.parse::<FlowId>().is_ok()) && bare.is_some_and(|bare| bare.bytes().all(is_safe))
}

/// Returns the file name of a flow: the safe characters of its name, and its id, which makes it unique.
fn file_name(head: &Head) -> String {
    match slug(&head.name) {
        slug if slug.is_empty() => format!("{}.json", head.id),
        slug => format!("{slug}-{}.json", head.id),
    }
}

/// Returns the part of a name that is a safe file name on every file system.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().take(MAX_SLUG).map(|c| c.to_ascii_lowercase()) {
        match c.is_ascii_alphanumeric() {
            true => slug.push(c),
            false if slug.ends_with('-') || slug.is_empty() => {}
            false => slug.push('-'),
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

#[cfg(test)]
mod tests {
    use super::{file_name, is_export_name};
    use strom_store::Flow;

    const ID: &str = "6f1d3c5e-0000-4000-8000-000000000001";

    #[test]
    fn file_names_are_safe() {
        for (name, expected) in [
            ("Studio 1", "studio-1-"),
            ("STUDIO 1", "studio-1-"),
            ("../../etc/passwd", "etc-passwd-"),
            ("..", ""),
            ("студия", ""),
            ("Ä. b!", "b-"),
            ("CON", "con-"),
            ("com1.txt", "com1-txt-"),
            ("🎬 live 🎬", "live-"),
            ("-rf ~", "rf-"),
            (&"x".repeat(255), &format!("{}-", "x".repeat(60))),
        ] {
            let flow = Flow::parse(&format!(r#"{{"id":"{ID}","name":"{name}"}}"#)).unwrap();
            let file = file_name(flow.head());
            assert_eq!(file, format!("{expected}{ID}.json"));
            assert!(is_export_name(&file));
        }
    }

    #[test]
    fn other_names_are_not_export_names() {
        for name in [
            &format!("../a-{ID}.json"),
            "flows.json",
            "",
            ".json",
            &format!("{ID}.txt"),
            &format!("/{ID}.json"),
            "ä.json",
        ] {
            assert!(!is_export_name(name), "{name}");
        }
    }
}
