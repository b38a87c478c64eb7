//! Switches and archives with histories: the target receives the same revisions as the source.

use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use futures::TryStreamExt;
use strom_server::transfer::switch::{ArchiveError, Existing, History, MoveOutcome, Origin, Switch, SwitchReport};
use strom_store::FlowRepository;
use strom_store::internals::Chance;
use strom_store::internals::feed::read_until;
use strom_store::internals::history::{history, operations};
use strom_store::internals::samples::{
    canonical, change, change_all, create_all, flow, flow_with, id, moment, stamp, time,
};
use strom_store::repository::{Author, Change, Operation, Precondition, Record, Since, Stamp};

use strom_test_support::json::File;
use strom_test_support::postgres::{self, Database, run};

async fn read(source: &dyn FlowRepository) -> Switch {
    Switch::read(source, History::Include, Arc::new(())).await.unwrap()
}

/// Plans and makes the switch. The plan must equal the result.
async fn make(switch: &Switch, target: &dyn FlowRepository, existing: Existing) -> SwitchReport {
    let planned = switch.plan(Some(target), existing).await.unwrap();
    let report = switch.make(target, existing, stamp(9_000)).await.unwrap();
    assert_eq!((planned.counts, &planned.obstacles), (report.counts, &report.obstacles), "the plan equals the result");
    assert_eq!(planned.histories, report.histories);
    report
}

/// Returns everything that must be equal in two stores. Cursors may differ.
async fn all(store: &dyn FlowRepository) -> Vec<String> {
    let format_record = |record: Record<strom_store::Flow>| {
        let Record { operation, item, revision, at, author, .. } = record;
        format!("{} {revision} {operation:?} {at} {author:?} {}", item.id(), canonical(&item))
    };
    let histories: Vec<_> = store.histories().map_ok(format_record).try_collect().await.unwrap();
    let deleted = store.deleted().await.unwrap();
    let deleted = deleted.iter().map(|record| format!("{} {} {}", record.item.id, record.revision, record.at));
    let now = moment(store).await.into_iter().map(|(document, version)| format!("{document} {version:?}"));
    histories.into_iter().chain(deleted).chain(now).collect()
}

/// Edits, reports, deletes and restores random flows, sometimes several in one call.
async fn make_random_changes(store: &dyn FlowRepository, seed: u64, calls: i64) {
    let mut chance = Chance::new(seed);
    for call in 0..calls {
        let stamp = Stamp::new(time(call), Author::new(&format!("author \"{}\"", chance.below(3))));
        let number = chance.below(12) as u32;
        let change = |number: u32, chance: &mut Chance| match chance.below(5) {
            0 => Change::Delete(id(number), Precondition::Any),
            1 => Change::Put(
                flow_with(
                    number,
                    "reported",
                    &format!(r#""n":1,"gst_state":"{}""#, ["Playing", "Paused"][chance.below(2) as usize]),
                ),
                Precondition::Any,
            ),
            _ => Change::Put(
                flow_with(number, "ä", &format!(r#""n":[{}.10,18446744073709551617]"#, chance.below(5))),
                Precondition::Any,
            ),
        };
        match chance.below(6) {
            0 => {
                let last = history(store, number).await;
                if let Some(record) = last.get(chance.below(3) as usize) {
                    store.restore(id(number), record.revision, Precondition::Any, stamp).await.unwrap();
                }
            }
            1 => {
                let changes = vec![change(number, &mut chance), change(number + 12, &mut chance)];
                change_all(store, changes, stamp).await;
            }
            _ => {
                let one = change(number, &mut chance);
                self::change(store, one, stamp).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_are_equal_after_a_round_trip() {
    for seed in 1..=3 {
        let (source, database, back) = (File::new(), Database::empty().await, File::new());
        let first = source.open().await;
        make_random_changes(&*first, seed, 200).await;
        let expected = all(&*first).await;
        let second = database.repository().await;
        let switch = read(&*first).await;
        let report = make(&switch, &*second, Existing::Fail).await;
        assert!(report.is_good(), "{:?} {:?}", report.obstacles, report.differences);
        let histories = report.histories.unwrap();
        let revisions = expected.iter().filter(|line| line.contains("Author")).count();
        assert!(histories.revisions > 50 && histories.revisions <= revisions, "{histories:?}");
        assert_eq!(histories.deleted.len(), first.deleted().await.unwrap().len());
        assert_eq!(all(&*second).await, expected, "seed {seed}");

        // A repeated switch changes nothing.
        let again = make(&switch, &*second, Existing::Fail).await;
        assert!(again.is_good() && again.counts.created == 0, "{:?}", again.obstacles);
        let histories = again.histories.unwrap();
        assert!(
            histories.revisions == 0
                && histories.deleted.iter().all(|deleted| deleted.outcome == MoveOutcome::Unchanged)
        );
        assert_eq!(all(&*second).await, expected);

        // Further changes have the same effect in both stores.
        make_random_changes(&*first, seed + 100, 40).await;
        make_random_changes(&*second, seed + 100, 40).await;
        let expected = all(&*first).await;
        assert_eq!(all(&*second).await, expected, "seed {seed}");
        let third = back.open().await;
        let report = make(&read(&*second).await, &*third, Existing::Fail).await;
        assert!(report.is_good(), "{:?} {:?}", report.obstacles, report.differences);
        third.close().await.unwrap();
        let third = back.open().await;
        assert_eq!(all(&*third).await, expected, "after the file was closed and opened again");
        assert!(third.health().await.faults.is_empty());
    }
}

/// The feed of the target contains every moved revision. The revisions of each flow are in order.
#[tokio::test(flavor = "multi_thread")]
async fn the_feed_of_the_target_contains_the_moved_revisions() {
    let (source, database) = (File::new(), Database::empty().await);
    let (first, second) = (source.open().await, database.repository().await);
    make_random_changes(&*first, 7, 100).await;
    let begin = second.change_summaries(Since::Now, 1).await.unwrap().next;
    make(&read(&*first).await, &*second, Existing::Fail).await;
    let count = second.histories().try_fold(0, async |count, _| Ok(count + 1)).await.unwrap();
    let mut missing = count;
    let fed = read_until(&*second, Since::After(begin), 7, |record| {
        missing -= usize::from(record.operation != Operation::State);
        missing == 0
    });
    let fed = fed.await.into_iter().filter(|record| record.operation != Operation::State);
    let moved: Vec<_> = fed.map(|record| (record.item.id(), record.revision)).collect();
    let histories: Vec<_> =
        second.histories().map_ok(|record| (record.item.id(), record.revision)).try_collect().await.unwrap();
    assert_eq!(moved, histories);
}

/// A flow that the target has deleted is an obstacle. With `Existing::Skip`, it continues the history of the target.
#[tokio::test(flavor = "multi_thread")]
async fn histories_of_the_target_are_not_replaced() {
    let (source, target) = (File::new(), postgres::open().await);
    let first = source.open().await;
    create_all(&*first, [flow(1, "a"), flow(2, "b"), flow(3, "c"), flow(4, "d")]).await;
    change_all(&*first, vec![Change::replace(flow(1, "a2")), Change::delete(id(2)), Change::delete(id(3))], stamp(1))
        .await;
    create_all(&**target, [flow(1, "theirs"), flow(2, "theirs"), flow(3, "theirs")]).await;
    let edits = vec![Change::delete(id(1)), Change::replace(flow(2, "edited"))];
    change_all(&**target, edits, stamp(2)).await;
    change(&**target, Change::delete(id(2)), stamp(3)).await;
    let switch = read(&*first).await;

    let report = make(&switch, &**target, Existing::Fail).await;
    let reasons: Vec<_> =
        report.obstacles.iter().map(|obstacle| (obstacle.id.unwrap(), obstacle.reason.as_str())).collect();
    let expected = [
        (id(3), "the target contains this flow, but the source does not"),
        (id(2), "the target deleted this flow as revision 3 and contains its history"),
        (id(1), "the target deleted this flow as revision 2 and contains its history"),
    ];
    assert_eq!(reasons, expected);

    let report = make(&switch, &**target, Existing::Skip).await;
    assert!(report.is_good(), "{:?}", report.differences);
    let deleted: Vec<_> = report.histories.unwrap().deleted.iter().map(|flow| (flow.id, flow.outcome)).collect();
    assert_eq!(deleted, [(id(2), MoveOutcome::Skipped), (id(3), MoveOutcome::Skipped)]);
    use Operation::{Create, Delete, Update};
    assert_eq!(operations(&history(&**target, 1).await), [(Create, 3), (Delete, 2), (Create, 1)]);
    assert_eq!(operations(&history(&**target, 2).await), [(Delete, 3), (Update, 2), (Create, 1)]);
    assert_eq!(operations(&history(&**target, 3).await), [(Create, 1)]);
    assert_eq!(operations(&history(&**target, 4).await), [(Create, 1)]);
}

/// SQL wrote a revision that a JSON file cannot contain.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_cannot_be_stored_is_an_obstacle() {
    let (database, back) = (Database::migrated().await, File::new());
    let source = database.repository().await;
    create_all(&*source, [flow(1, "a")]).await;
    change(&*source, Change::replace(flow(1, "b")), stamp(1)).await;
    let mut connection = database.connect().await;
    run(&mut connection, r#"UPDATE flow_changes SET document = document || '{"name": 5}' WHERE revision = 1"#).await;
    let target = back.open().await;
    let report = make(&read(&*source).await, &*target, Existing::Fail).await;
    assert_eq!(report.obstacles.len(), 1, "{:?}", report.obstacles);
    assert!(report.obstacles[0].reason.starts_with("cannot move its history: "), "{:?}", report.obstacles);
    assert!(moment(&*target).await.is_empty());
}

fn origin() -> Origin {
    Origin { made_by: "0".to_owned(), at: time(0), from: "here".to_owned() }
}

async fn archive(source: &dyn FlowRepository) -> Vec<u8> {
    let mut file = Vec::new();
    read(source).await.write_archive(&origin(), &mut file).unwrap();
    file
}

fn open(file: &[u8]) -> Result<Switch, ArchiveError> {
    Switch::read_archive(file, Arc::new(())).map(|(switch, ..)| switch)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_can_be_restored_to_either_backend() {
    let source = File::new();
    let first = source.open().await;
    make_random_changes(&*first, 5, 200).await;
    let expected = all(&*first).await;
    let file = archive(&*first).await;
    let switch = open(&file).unwrap();
    assert_eq!(read(&*first).await.compare(&switch), Ok(()));
    let (file_of_target, database) = (File::new(), Database::empty().await);
    for target in [file_of_target.open().await, database.repository().await] {
        let report = make(&switch, &*target, Existing::Fail).await;
        assert!(report.is_good(), "{:?} {:?}", report.obstacles, report.differences);
        assert_eq!(all(&*target).await, expected);
        let again = open(&archive(&*target).await).unwrap();
        assert_eq!(again.compare(&switch), Ok(()), "an archive of the target equals the archive of the source");
    }
    change(&*first, Change::Put(flow(1, "another"), Precondition::Any), stamp(500)).await;
    assert!(read(&*first).await.compare(&switch).is_err());
}

#[tokio::test]
async fn an_empty_store_can_be_archived() {
    let (source, other) = (File::new(), File::new());
    let file = archive(&*source.open().await).await;
    let target = other.open().await;
    assert!(make(&open(&file).unwrap(), &*target, Existing::Fail).await.is_good());
    assert!(all(&*target).await.is_empty());
}

/// The test truncates the archive at every length and flips one bit of every byte.
#[tokio::test]
async fn every_damaged_archive_is_rejected() {
    let source = File::new();
    let first = source.open().await;
    make_random_changes(&*first, 3, 12).await;
    let file = archive(&*first).await;
    let whole = open(&file).unwrap();
    for length in 0..file.len() {
        assert!(open(&file[..length]).is_err(), "cut after {length} of {} bytes", file.len());
    }
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Ok(read) = open(&damaged) {
            // Some bits of the gzip header only describe the operating system and the time.
            assert!(at < 10 && whole.compare(&read).is_ok(), "byte {at}");
        }
    }
}

/// The files are archives that were edited and compressed again, and files of other formats.
#[tokio::test]
async fn other_files_are_rejected_with_a_reason() {
    use std::io::{Read, Write};
    let source = File::new();
    let first = source.open().await;
    create_all(&*first, [flow(1, "a"), flow(2, "b")]).await;
    change(&*first, Change::delete(id(2)), stamp(1)).await;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&*archive(&*first).await).read_to_string(&mut text).unwrap();
    let compressed = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let error_of = |text: &str| open(&compressed(text)).unwrap_err().to_string();
    open(&compressed(&text)).unwrap();
    let edited = text.replace(r#""name":"a""#, r#""name":"x""#);
    assert_eq!(error_of(&edited), "the checksum does not match: the archive was changed or damaged");
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(error_of(&lines[..3].concat()), "the archive ends early in line 4");
    assert_eq!(
        error_of(&text.replace("\"format\":1", "\"format\":2")),
        "its format is 2, but this version reads format 1"
    );
    let more = "line 5 is damaged: nothing comes behind the line that says how many flows there are";
    assert_eq!(error_of(&format!("{text}{}", lines[1])), more);
    let wrong = format!("{}{{}}\n", lines[0]);
    assert_eq!(error_of(&wrong), "line 2 is damaged: neither a flow nor the history of a deleted flow");
    for foreign in ["", "{}\n", "[1]\n", "{\"strom\":\"journal\",\"format\":1}\n"] {
        assert_eq!(error_of(foreign), "not an archive of Strom", "{foreign}");
    }
    assert!(matches!(open(b"no gzip at all"), Err(ArchiveError::Foreign)));
    assert!(matches!(open(b""), Err(ArchiveError::Foreign)));
}
