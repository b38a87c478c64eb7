//! A directory with one file per flow, as `strom export --format dir` writes it, for a version control that compares files.
//!
//! The hidden file `.strom-export` has the names of the files that the last export wrote. Of those alone one is removed when its
//! flow is gone or has another name now. A name is in it before its file is there, so that an export that is broken off leaves
//! none that nobody removes, and an import would take for a flow that is wanted.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use futures::StreamExt;
use strom::FlowRepository;
use strom::flow::{FlowId, Head, Runtime};
use tempfile::NamedTempFile;

use super::export::pretty;
use super::progress::Bar;
use super::{Answer, Failure};

const WRITTEN: &str = ".strom-export";
/// The most characters of a name in the name of a file.
const LONGEST: usize = 60;

pub(super) async fn write(
    repository: &dyn FlowRepository,
    directory: &Path,
    runtime: Runtime,
    bar: &Bar,
) -> Result<Answer, Failure> {
    let failed = |path: &Path, source| Failure::Export { file: path.display().to_string(), source };
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let before = written_before(directory).map_err(|error| failed(&directory.join(WRITTEN), error))?;
    let mut names = BTreeSet::new();
    let mut flows = repository.snapshot();
    while let Some(stored) = flows.next().await {
        let flow = stored?.item;
        let name = file_name(flow.head());
        let path = directory.join(&name);
        let text = pretty(&flow, runtime)? + "\n";
        if !before.contains(&name) {
            note(directory, &name).map_err(|error| failed(&directory.join(WRITTEN), error))?;
        }
        replace(directory, &path, &text).map_err(|error| failed(&path, error))?;
        names.insert(name);
        bar.set(names.len() as u64);
    }
    for name in before.difference(&names) {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&path, error)),
            _ => {}
        }
    }
    let path = directory.join(WRITTEN);
    let list: String = names.iter().flat_map(|name| [name, "\n"]).collect();
    replace(directory, &path, &list).map_err(|error| failed(&path, error))?;
    Ok(Answer::Done)
}

/// Adds a name to the list.
fn note(directory: &Path, name: &str) -> io::Result<()> {
    let mut list = File::options().append(true).create(true).mode(0o600).open(directory.join(WRITTEN))?;
    list.write_all(format!("{name}\n").as_bytes())
}

/// Puts a file in its place at once, and leaves one alone that is so already.
fn replace(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    if let Ok(found) = fs::metadata(path) {
        file.as_file().set_permissions(found.permissions())?;
    }
    file.persist(path)?;
    Ok(())
}

/// The names of an earlier export; what an export would not have written is none.
fn written_before(directory: &Path) -> io::Result<BTreeSet<String>> {
    match fs::read_to_string(directory.join(WRITTEN)) {
        Ok(list) => Ok(list.lines().filter(|name| is_ours(name)).map(str::to_owned).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

fn is_ours(name: &str) -> bool {
    let bare = name.strip_suffix(".json");
    let id = bare.and_then(|bare| bare.get(bare.len().checked_sub(36)?..));
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    id.is_some_and(|id| id.parse::<FlowId>().is_ok()) && bare.is_some_and(|bare| bare.bytes().all(is_safe))
}

/// What is safe on every file system of its name, then its id, by which no two are alike.
fn file_name(head: &Head) -> String {
    match slug(&head.name) {
        slug if slug.is_empty() => format!("{}.json", head.id),
        slug => format!("{slug}-{}.json", head.id),
    }
}

/// What of a name is safe in the name of a file, on every file system.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().take(LONGEST).map(|c| c.to_ascii_lowercase()) {
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
    use super::{file_name, is_ours};
    use strom::Flow;

    const ID: &str = "6f1d3c5e-0000-4000-8000-000000000001";

    #[test]
    fn names_of_files_are_safe_and_ours() {
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
            assert!(is_ours(&file));
        }
    }

    #[test]
    fn nothing_else_is_ours() {
        for name in [
            &format!("../a-{ID}.json"),
            "flows.json",
            "",
            ".json",
            &format!("{ID}.txt"),
            &format!("/{ID}.json"),
            "ä.json",
        ] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
