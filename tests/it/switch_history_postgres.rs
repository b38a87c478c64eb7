//! Switches and archives that carry histories: what flows were is on the other side what it was here.

use std::sync::Arc;

use futures::TryStreamExt;
use strom::FlowRepository;
use strom::repository::{Author, Change, Operation, Precondition, Record, Since, Stamp};
use strom::testkit::chance::Chance;
use strom::testkit::feed::read_until;
use strom::testkit::history::{history, told};
use strom::testkit::samples::{canonical, change, change_all, create_all, flow, flow_with, id, moment, stamp, time};
use strom::transfer::switch::{ArchiveError, Existing, History, Origin, Outcome, Report, Switch};

use crate::support::json::File;
use crate::support::postgres::{self, Database, run};

async fn read(source: &dyn FlowRepository) -> Switch {
    Switch::read(source, History::Carried, Arc::new(())).await.unwrap()
}

async fn make(switch: &Switch, target: &dyn FlowRepository, existing: Existing) -> Report {
    let planned = switch.plan(Some(target), existing).await.unwrap();
    let report = switch.make(target, existing, stamp(9_000)).await.unwrap();
    assert_eq!((planned.counts, &planned.obstacles), (report.counts, &report.obstacles), "as was said");
    assert_eq!(planned.histories, report.histories);
    report
}

/// All that two stores must tell alike: everything but the places in their feeds.
async fn all(store: &dyn FlowRepository) -> Vec<String> {
    let tell = |record: Record<strom::Flow>| {
        let Record { operation, item, revision, at, author, .. } = record;
        format!("{} {revision} {operation:?} {at} {author:?} {}", item.id(), canonical(&item))
    };
    let histories: Vec<_> = store.histories().map_ok(tell).try_collect().await.unwrap();
    let deleted = store.deleted().await.unwrap();
    let deleted = deleted.iter().map(|record| format!("{} {} {}", record.item.id, record.revision, record.at));
    let now = moment(store).await.into_iter().map(|(document, version)| format!("{document} {version:?}"));
    histories.into_iter().chain(deleted).chain(now).collect()
}

/// Chance edits, reports, deletes and restores some flows; calls of several changes are among it.
async fn live(store: &dyn FlowRepository, seed: u64, calls: i64) {
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
async fn histories_go_there_and_back() {
    for seed in 1..=3 {
        let (source, database, back) = (File::new(), Database::empty().await, File::new());
        let first = source.open().await;
        live(&*first, seed, 200).await;
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

        // The same again finds everything there.
        let again = make(&switch, &*second, Existing::Fail).await;
        assert!(again.is_good() && again.counts.created == 0, "{:?}", again.obstacles);
        let histories = again.histories.unwrap();
        assert!(histories.revisions == 0 && histories.deleted.iter().all(|gone| gone.outcome == Outcome::Unchanged));
        assert_eq!(all(&*second).await, expected);

        // And life goes on the same in both.
        live(&*first, seed + 100, 40).await;
        live(&*second, seed + 100, 40).await;
        let expected = all(&*first).await;
        assert_eq!(all(&*second).await, expected, "seed {seed}");
        let third = back.open().await;
        let report = make(&read(&*second).await, &*third, Existing::Fail).await;
        assert!(report.is_good(), "{:?} {:?}", report.obstacles, report.differences);
        third.close().await;
        let third = back.open().await;
        assert_eq!(all(&*third).await, expected, "read from the disk again");
        assert!(third.health().await.faults.is_empty());
    }
}

/// Whoever follows the feed of the target sees all of it, each flow's revisions in their order.
#[tokio::test(flavor = "multi_thread")]
async fn the_feed_of_the_target_tells_what_has_come() {
    let (source, database) = (File::new(), Database::empty().await);
    let (first, second) = (source.open().await, database.repository().await);
    live(&*first, 7, 100).await;
    let begin = second.change_summaries(Since::Now, 1).await.unwrap().next;
    make(&read(&*first).await, &*second, Existing::Fail).await;
    let count = second.histories().try_fold(0, async |count, _| Ok(count + 1)).await.unwrap();
    let mut missing = count;
    let fed = read_until(&*second, Since::After(begin), 7, |record| {
        missing -= usize::from(record.operation != Operation::State);
        missing == 0
    });
    let fed = fed.await.into_iter().filter(|record| record.operation != Operation::State);
    let told: Vec<_> = fed.map(|record| (record.item.id(), record.revision)).collect();
    let histories: Vec<_> =
        second.histories().map_ok(|record| (record.item.id(), record.revision)).try_collect().await.unwrap();
    assert_eq!(told, histories);
}

/// What the target has deleted itself is in the way, or goes on with the history that it has there.
#[tokio::test(flavor = "multi_thread")]
async fn histories_of_the_target_stay() {
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
        (id(3), "the target has this flow, and the source has not"),
        (id(2), "the target has deleted this flow, as revision 3, and has its history"),
        (id(1), "the target has deleted this flow, as revision 2, and has its history"),
    ];
    assert_eq!(reasons, expected);

    let report = make(&switch, &**target, Existing::Skip).await;
    assert!(report.is_good(), "{:?}", report.differences);
    let gone: Vec<_> = report.histories.unwrap().deleted.iter().map(|gone| (gone.id, gone.outcome)).collect();
    assert_eq!(gone, [(id(2), Outcome::Skipped), (id(3), Outcome::Skipped)]);
    use Operation::{Create, Delete, Update};
    assert_eq!(told(&history(&**target, 1).await), [(Create, 3), (Delete, 2), (Create, 1)]);
    assert_eq!(told(&history(&**target, 2).await), [(Delete, 3), (Update, 2), (Create, 1)]);
    assert_eq!(told(&history(&**target, 3).await), [(Create, 1)]);
    assert_eq!(told(&history(&**target, 4).await), [(Create, 1)]);
}

/// A revision that somebody has written by SQL and that no file could hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_cannot_be_stored_is_told() {
    let (database, back) = (Database::migrated().await, File::new());
    let source = database.repository().await;
    create_all(&*source, [flow(1, "a")]).await;
    change(&*source, Change::replace(flow(1, "b")), stamp(1)).await;
    let mut connection = database.connect().await;
    run(&mut connection, r#"UPDATE flow_changes SET document = document || '{"name": 5}' WHERE revision = 1"#).await;
    let target = back.open().await;
    let report = make(&read(&*source).await, &*target, Existing::Fail).await;
    assert_eq!(report.obstacles.len(), 1, "{:?}", report.obstacles);
    assert!(report.obstacles[0].reason.starts_with("its history cannot move: "), "{:?}", report.obstacles);
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

/// Restored into either backend, it is the store that it was made of.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_restored_into_either_backend() {
    let source = File::new();
    let first = source.open().await;
    live(&*first, 5, 200).await;
    let expected = all(&*first).await;
    let file = archive(&*first).await;
    let switch = open(&file).unwrap();
    assert_eq!(read(&*first).await.is_same(&switch), Ok(()));
    let (file_of_target, database) = (File::new(), Database::empty().await);
    for target in [file_of_target.open().await, database.repository().await] {
        let report = make(&switch, &*target, Existing::Fail).await;
        assert!(report.is_good(), "{:?} {:?}", report.obstacles, report.differences);
        assert_eq!(all(&*target).await, expected);
        let again = open(&archive(&*target).await).unwrap();
        assert_eq!(again.is_same(&switch), Ok(()), "an archive of it says the same");
    }
    change(&*first, Change::Put(flow(1, "another"), Precondition::Any), stamp(500)).await;
    assert!(read(&*first).await.is_same(&switch).is_err());
}

/// An empty store has an archive, too.
#[tokio::test]
async fn nothing_makes_an_archive_of_nothing() {
    let (source, other) = (File::new(), File::new());
    let file = archive(&*source.open().await).await;
    let target = other.open().await;
    assert!(make(&open(&file).unwrap(), &*target, Existing::Fail).await.is_good());
    assert!(all(&*target).await.is_empty());
}

/// Wherever a bit is flipped or the end is cut off.
#[tokio::test]
async fn no_damaged_archive_is_believed() {
    let source = File::new();
    let first = source.open().await;
    live(&*first, 3, 12).await;
    let file = archive(&*first).await;
    let whole = open(&file).unwrap();
    for length in 0..file.len() {
        assert!(open(&file[..length]).is_err(), "cut after {length} of {} bytes", file.len());
    }
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Ok(read) = open(&damaged) {
            // Some bits of the first bytes say by which system it was compressed, and when.
            assert!(at < 10 && whole.is_same(&read).is_ok(), "byte {at}");
        }
    }
}

/// Somebody has unpacked, edited and packed it again; or it was none at all.
#[tokio::test]
async fn what_is_no_archive_is_named() {
    use std::io::{Read, Write};
    let source = File::new();
    let first = source.open().await;
    create_all(&*first, [flow(1, "a"), flow(2, "b")]).await;
    change(&*first, Change::delete(id(2)), stamp(1)).await;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&*archive(&*first).await).read_to_string(&mut text).unwrap();
    let packed = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let told = |text: &str| open(&packed(text)).unwrap_err().to_string();
    open(&packed(&text)).unwrap();
    let edited = text.replace(r#""name":"a""#, r#""name":"x""#);
    assert_eq!(told(&edited), "its checksum does not hold: it was changed, or the disk has damaged it");
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(told(&lines[..3].concat()), "it breaks off in line 4");
    assert_eq!(told(&text.replace("\"format\":1", "\"format\":2")), "its format is 2, and this Strom reads 1");
    let more = "line 5 is damaged: nothing comes behind the line that says how many flows there are";
    assert_eq!(told(&format!("{text}{}", lines[1])), more);
    let wrong = format!("{}{{}}\n", lines[0]);
    assert_eq!(told(&wrong), "line 2 is damaged: it is neither a flow nor the history of a deleted one");
    for foreign in ["", "{}\n", "[1]\n", "{\"strom\":\"journal\",\"format\":1}\n"] {
        assert_eq!(told(foreign), "it is no archive of Strom", "{foreign}");
    }
    assert!(matches!(open(b"no gzip at all"), Err(ArchiveError::Foreign)));
    assert!(matches!(open(b""), Err(ArchiveError::Foreign)));
}
