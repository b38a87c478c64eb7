//! The copy on the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use strom::last_known::Settings;
use strom::repository::Change;
use strom::testkit::samples::{change, create_all, flow, flow_with, id, moment, stamp};

use super::{Place, known, until_known, until_same};
use crate::support::json::until;

#[tokio::test(flavor = "multi_thread")]
async fn another_process_reads_what_was_saved() {
    let place = Place::new().await;
    let stored = &*place.cable;
    create_all(stored, (1..50).map(|number| flow(number, "many"))).await;
    let last_known = place.follow().await;
    until_same(&last_known, stored).await;
    change(stored, Change::replace(flow_with(1, "edited", r#""n":18446744073709551617"#)), stamp(1)).await;
    change(stored, Change::delete(id(2)), stamp(2)).await;
    until_same(&last_known, stored).await;
    let expected = moment(stored).await;
    last_known.stop().await;
    let extent = last_known.extent().unwrap();
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);

    let again = place.after_a_restart().await;
    assert_eq!(again.extent().unwrap(), extent, "to the very moment");
    assert_eq!(known(&again).await.unwrap(), expected);
    let an_hour_later = extent.as_of + chrono::TimeDelta::hours(1);
    assert_eq!(again.age(an_hour_later), Some(Duration::from_secs(3_600)));
    again.stop().await;
    assert_eq!(place.after_a_restart().await.extent().unwrap(), extent, "and once more");
}

/// Each beginning of the file that ends with a moment is what was stored at that moment.
#[tokio::test(flavor = "multi_thread")]
async fn damage_costs_what_follows_it_and_never_a_start() {
    let place = Place::new().await;
    let stored = &*place.cable;
    create_all(stored, [flow(1, "a"), flow(2, "b")]).await;
    let last_known = place.follow().await;
    until_same(&last_known, stored).await;
    until("the copy is saved", async || place.directory.path().read_dir().unwrap().count() == 2).await;
    let before = moment(stored).await;
    change(stored, Change::replace(flow(2, "edited")), stamp(1)).await;
    until_same(&last_known, stored).await;
    last_known.stop().await;
    let (path, after) = (place.path(), moment(stored).await);
    let text = fs::read(&path).unwrap();
    let edited = text.windows(6).position(|bytes| bytes == b"edited").expect("it was appended");
    let begin = |text: &[u8]| text.iter().position(|byte| *byte == b'\n').unwrap();
    let changed = |at: usize| {
        let mut text = text.clone();
        text[at] ^= 1;
        text
    };
    let torn = text[..text.len() - 1].to_vec();
    place.cable.cut();
    for (what, text, expected) in [
        ("whole", text.clone(), Some(&after)),
        ("a torn end", [text.as_slice(), br#"{"crc":"0"#].concat(), Some(&after)),
        (
            "a flow without a moment",
            [text.as_slice(), &text[begin(&text) + 1..][..begin(&text[begin(&text) + 1..]) + 1]].concat(),
            Some(&after),
        ),
        ("damage in what was appended", changed(edited), Some(&before)),
        ("damage in the first line", changed(20), None),
        ("damage in the first flows", changed(begin(&text) + 60), None),
        ("empty", Vec::new(), None),
        ("no copy at all", b"{\"version\":1,\"flows\":[]}\n".to_vec(), None),
        ("cut off in the first flows", text[..begin(&text) + 60].to_vec(), None),
        ("no line end", torn, Some(&after)),
    ] {
        fs::write(&path, text).unwrap();
        let again = place.follow().await;
        assert_eq!(known(&again).await.as_ref(), expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_replaced_when_the_storage_answers() {
    let place = Place::new().await;
    let stored = &*place.cable;
    create_all(stored, [flow(1, "a")]).await;
    let last_known = place.follow().await;
    until_known(&last_known).await;
    last_known.stop().await;
    fs::write(place.path(), "damaged").unwrap();
    let last_known = place.follow().await;
    until_same(&last_known, stored).await;
    last_known.stop().await;
    assert_eq!(known(&place.after_a_restart().await).await.unwrap(), place.stored().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_storage_has_its_own_copy() {
    let (place, other) = (Place::new().await, Place::new().await);
    create_all(&*place.cable, [flow(1, "a")]).await;
    let last_known = place.follow().await;
    until_known(&last_known).await;
    last_known.stop().await;
    other.cable.cut();
    let settings = Settings { directory: Some(place.directory.path().to_owned()), ..other.settings() };
    assert!(other.follow_with(settings.clone()).await.extent().is_none());
    other.cable.restore();
    until_known(&other.follow_with(settings.clone()).await).await;
    until("both are saved", async || {
        let names = place.directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".jsonl")).count() == 2
    })
    .await;
    assert_eq!(place.after_a_restart().await.extent().unwrap().flows, 1);
}

/// Two processes may have one database and one directory.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_keeps_the_copy_and_the_other_follows_when_it_goes() {
    let place = Place::new().await;
    create_all(&*place.cable, [flow(1, "a")]).await;
    let (first, second) = (place.follow().await, place.follow().await);
    until_same(&first, &*place.cable).await;
    until_same(&second, &*place.cable).await;
    until("the copy is saved", async || place.directory.path().read_dir().unwrap().count() == 2).await;
    first.stop().await;
    drop(first);
    change(&*place.cable, Change::replace(flow(1, "b")), stamp(1)).await;
    until_same(&second, &*place.cable).await;
    let expected = moment(&*place.cable).await;
    second.stop().await;
    drop(second);
    assert_eq!(known(&place.after_a_restart().await).await.unwrap(), expected);
}

/// What changes is appended; a file that has grown too long is written anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_stays_within_bounds() {
    let place = Place::new().await;
    let stored = &*place.cable;
    create_all(stored, [flow(1, "a")]).await;
    let last_known = place.follow().await;
    until_known(&last_known).await;
    let filling = "x".repeat(300_000);
    let mut longest = 0;
    for edit in 0..16 {
        let members = format!(r#""edit":{edit},"filling":"{filling}""#);
        change(stored, Change::replace(flow_with(1, "a", &members)), stamp(edit)).await;
        until_same(&last_known, stored).await;
        let saved = Instant::now();
        until("it is saved", async || {
            saved.elapsed() > Duration::from_secs(5)
                || fs::read_to_string(place.path()).unwrap().contains(&format!(r#""edit":{edit},"#))
        })
        .await;
        longest = longest.max(fs::metadata(place.path()).unwrap().len());
    }
    assert!((1_000_000..3_000_000).contains(&longest), "{longest}");
    last_known.stop().await;
    assert_eq!(known(&place.after_a_restart().await).await.unwrap(), place.stored().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_directory_that_can_be_written_it_is_in_memory_alone() {
    let place = Place::new().await;
    create_all(&*place.cable, [flow(1, "a")]).await;
    let file = place.directory.path().join("file");
    fs::write(&file, "").unwrap();
    for directory in [None, Some(file)] {
        let last_known = place.follow_with(Settings { directory, ..place.settings() }).await;
        until_same(&last_known, &*place.cable).await;
        last_known.stop().await;
    }
}
