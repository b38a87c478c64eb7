//! The faulty disk loses what it should, and nothing else.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Failure, Fault, FaultyDisk};
use crate::disk::Disk;
use crate::disk::unsynced::Loss;

struct Place {
    root: TempDir,
    store: PathBuf,
    disk: Arc<FaultyDisk>,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (store, kept) = (root.path().join("store"), root.path().join("kept"));
        fs::create_dir(&store).unwrap();
        fs::create_dir(&kept).unwrap();
        Self { root, store, disk: FaultyDisk::new(kept) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.join(name)
    }

    /// Creates a file whose content and name are synced.
    fn synced(&self, name: &str, text: &str) -> fs::File {
        let file = self.disk.create(&self.path(name)).unwrap();
        self.disk.write(&file, 0, text.as_bytes()).unwrap();
        self.disk.sync(&file).unwrap();
        self.disk.sync_directory(&self.store).unwrap();
        file
    }

    fn texts(&self) -> Vec<(String, String)> {
        let entries = self.store.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let text = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        };
        let mut texts: Vec<_> = entries.map(text).collect();
        texts.sort();
        texts
    }

    fn holds(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(self.texts(), expected, "{:#?}", self.disk.trace());
        assert!(self.root.path().exists());
    }
}

#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let place = Place::new();
    let file = place.synced("a", "first ");
    place.disk.write(&file, 6, b"second").unwrap();
    place.disk.create(&place.path("b")).unwrap();
    place.disk.truncate(&file, 2).unwrap();
    place.disk.write(&file, 2, b"!!!!!!!!!!!!!!").unwrap();
    place.holds(&[("a", "fi!!!!!!!!!!!!!!"), ("b", "")]);
    place.disk.lose_unsynced(Loss::All);
    place.holds(&[("a", "first ")]);
}

#[test]
fn a_name_is_on_the_disk_when_its_directory_is_synced() {
    let place = Place::new();
    place.synced("a", "old");
    place.synced("gone", "gone");
    let file = place.synced("new", "new");
    place.disk.rename(&place.path("new"), &place.path("a")).unwrap();
    place.disk.remove(&place.path("gone")).unwrap();
    place.disk.rename(&place.path("a"), &place.path("b")).unwrap();
    place.holds(&[("b", "new")]);
    place.disk.lose_unsynced(Loss::All);
    place.holds(&[("a", "old"), ("gone", "gone"), ("new", "new")]);

    place.disk.rename(&place.path("new"), &place.path("a")).unwrap();
    place.disk.sync_directory(&place.store).unwrap();
    place.disk.write(&file, 3, b" unsynced").unwrap();
    place.disk.lose_unsynced(Loss::All);
    place.holds(&[("a", "new"), ("gone", "gone")]);
}

#[test]
fn by_chance_some_of_it_stays_and_what_stays_is_possible() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let place = Place::new();
        let file = place.synced("a", "0");
        place.disk.write(&file, 1, b"1").unwrap();
        place.disk.write(&file, 2, b"2").unwrap();
        place.disk.create(&place.path("b")).unwrap();
        place.disk.rename(&place.path("b"), &place.path("c")).unwrap();
        place.disk.lose_unsynced(Loss::Some(seed));
        seen.insert(place.texts());
    }
    let texts: std::collections::BTreeSet<_> = seen.iter().map(|texts| texts[0].1.as_str()).collect();
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["0", "01", "012"]);
    let names: std::collections::BTreeSet<_> = seen.iter().map(|texts| texts.get(1).map(|(name, _)| name)).collect();
    assert_eq!(names.len(), 3, "neither, `b`, or `c`: {names:?}");
}

#[test]
fn sectors_reach_the_disk_in_any_order() {
    let mut holes = 0;
    for seed in 0..10 {
        let place = Place::new();
        let file = place.synced("a", "0");
        place.disk.write(&file, 1, &[b'1'; 2_000]).unwrap();
        place.disk.lose_unsynced(Loss::Sectors(seed));
        let bytes = fs::read(place.path("a")).unwrap();
        assert_eq!((bytes.len(), bytes[0]), (2_001, b'0'), "what was synced stays");
        holes += usize::from(bytes.windows(2).any(|pair| pair == [0, b'1']));
    }
    assert!(holes > 0);
}

#[test]
fn after_a_stop_nothing_reaches_the_disk() {
    for (fault, expected) in [(Fault::Stop, "0"), (Fault::StopHalfway, "012")] {
        let place = Place::new();
        let file = place.synced("a", "0");
        assert_eq!(place.disk.calls(), 4);
        place.disk.plan(5, fault);
        assert!(place.disk.write(&file, 1, b"1234").is_err());
        assert!(place.disk.has_struck());
        assert!(place.disk.sync(&file).is_err());
        assert!(place.disk.rename(&place.path("a"), &place.path("b")).is_err());
        assert!(place.disk.create(&place.path("c")).is_err());
        place.holds(&[("a", expected)]);
        place.disk.lose_unsynced(Loss::All);
        place.holds(&[("a", "0")]);
    }
}

#[test]
fn a_disk_fails_once_or_until_it_is_healed() {
    let place = Place::new();
    let file = place.synced("a", "0");
    place.disk.plan(5, Fault::Once(Failure::Full));
    let error = place.disk.write(&file, 1, b"12").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    place.holds(&[("a", "01")]);
    place.disk.plan(7, Fault::UntilHealed(Failure::Broken));
    place.disk.sync(&file).unwrap();
    assert!(place.disk.write(&file, 2, b"2").is_err() && place.disk.sync(&file).is_err());
    place.disk.heal();
    place.disk.write(&file, 2, b"3").unwrap();
    place.holds(&[("a", "013")]);
}

/// The kernel reports a failed write once, and then considers the pages clean.
#[test]
fn what_a_failed_sync_has_left_behind_is_lost_unless_it_is_written_again() {
    for again in [false, true] {
        let place = Place::new();
        let file = place.synced("a", "0");
        place.disk.write(&file, 1, b"1").unwrap();
        place.disk.plan(6, Fault::Once(Failure::Broken));
        place.disk.sync(&file).unwrap_err();
        if again {
            place.disk.truncate(&file, 1).unwrap();
            place.disk.write(&file, 1, b"1").unwrap();
        }
        place.disk.write(&file, 2, b"2").unwrap();
        place.disk.sync(&file).unwrap();
        place.holds(&[("a", "012")]);
        place.disk.lose_unsynced(Loss::All);
        place.holds(&[("a", if again { "012" } else { "0\u{0}2" })]);
    }
}
