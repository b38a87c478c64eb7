//! The saved copy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use strom_test_support::eventually::eventually;

use strom_store::internals::samples::{change, create_all, flow, flow_with, id, moment, stamp};
use strom_store::repository::Change;

use super::{Fixture, known, until_known, until_same};

#[tokio::test(flavor = "multi_thread")]
async fn next_process_reads_the_saved_copy() {
    let fixture = Fixture::new().await;
    let stored = &*fixture.cable;
    create_all(stored, (1..50).map(|number| flow(number, "many"))).await;
    let last_known = fixture.follow().await;
    until_same(&last_known, stored).await;
    change(stored, Change::replace(flow_with(1, "edited", r#""n":18446744073709551617"#)), stamp(1)).await;
    change(stored, Change::delete(id(2)), stamp(2)).await;
    until_same(&last_known, stored).await;
    let expected = moment(stored).await;
    last_known.stop().await;
    let extent = last_known.extent().unwrap();
    assert_eq!(fs::metadata(fixture.path()).unwrap().permissions().mode() & 0o777, 0o600);

    let restarted = fixture.after_a_restart().await;
    assert_eq!(restarted.extent().unwrap(), extent, "the restarted process has the same extent");
    assert_eq!(known(&restarted).await.unwrap(), expected);
    let an_hour_later = extent.as_of + chrono::TimeDelta::hours(1);
    assert_eq!(restarted.age(an_hour_later), Some(Duration::from_secs(3_600)));
    restarted.stop().await;
    assert_eq!(fixture.after_a_restart().await.extent().unwrap(), extent, "a second restart has the same extent");
}

/// Each prefix of the file that ends with a time is the content at that time.
#[tokio::test(flavor = "multi_thread")]
async fn damage_discards_only_what_follows_it() {
    let fixture = Fixture::new().await;
    let stored = &*fixture.cable;
    create_all(stored, [flow(1, "a"), flow(2, "b")]).await;
    let last_known = fixture.follow().await;
    until_same(&last_known, stored).await;
    eventually("the copy is saved", async || fixture.directory.path().read_dir().unwrap().count() == 2).await;
    let before = moment(stored).await;
    change(stored, Change::replace(flow(2, "edited")), stamp(1)).await;
    until_same(&last_known, stored).await;
    last_known.stop().await;
    let (path, after) = (fixture.path(), moment(stored).await);
    let text = fs::read(&path).unwrap();
    let edited = text.windows(6).position(|bytes| bytes == b"edited").expect("the change was appended");
    let first_line = |text: &[u8]| text.iter().position(|byte| *byte == b'\n').unwrap();
    let changed = |at: usize| {
        let mut text = text.clone();
        text[at] ^= 1;
        text
    };
    let without_line_feed = text[..text.len() - 1].to_vec();
    fixture.cable.cut();
    for (case, text, expected) in [
        ("complete", text.clone(), Some(&after)),
        ("an incomplete last line", [text.as_slice(), br#"{"crc":"0"#].concat(), Some(&after)),
        (
            "a flow without a time",
            [text.as_slice(), &text[first_line(&text) + 1..][..first_line(&text[first_line(&text) + 1..]) + 1]]
                .concat(),
            Some(&after),
        ),
        ("damage in an appended line", changed(edited), Some(&before)),
        ("damage in the first line", changed(20), None),
        ("damage in the first flows", changed(first_line(&text) + 60), None),
        ("empty", Vec::new(), None),
        ("no copy at all", b"{\"version\":1,\"flows\":[]}\n".to_vec(), None),
        ("cut off in the first flows", text[..first_line(&text) + 60].to_vec(), None),
        ("no line feed at the end", without_line_feed, Some(&after)),
    ] {
        fs::write(&path, text).unwrap();
        let restarted = fixture.follow().await;
        assert_eq!(known(&restarted).await.as_ref(), expected, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_copy_is_replaced_when_the_storage_is_reachable() {
    let fixture = Fixture::new().await;
    let stored = &*fixture.cable;
    create_all(stored, [flow(1, "a")]).await;
    let last_known = fixture.follow().await;
    until_known(&last_known).await;
    last_known.stop().await;
    fs::write(fixture.path(), "damaged").unwrap();
    let last_known = fixture.follow().await;
    until_same(&last_known, stored).await;
    last_known.stop().await;
    assert_eq!(known(&fixture.after_a_restart().await).await.unwrap(), fixture.stored().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_storage_has_its_own_copy() {
    let (fixture, other) = (Fixture::new().await, Fixture::new().await);
    create_all(&*fixture.cable, [flow(1, "a")]).await;
    let last_known = fixture.follow().await;
    until_known(&last_known).await;
    last_known.stop().await;
    other.cable.cut();
    let settings = other.settings().with_directory(Some(fixture.directory.path().to_owned()));
    assert!(other.follow_with(settings.clone()).await.extent().is_none());
    other.cable.restore();
    until_known(&other.follow_with(settings.clone()).await).await;
    eventually("both copies are saved", async || {
        let names = fixture.directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".jsonl")).count() == 2
    })
    .await;
    assert_eq!(fixture.after_a_restart().await.extent().unwrap().flows, 1);
}

/// Two processes may share a database and a directory.
#[tokio::test(flavor = "multi_thread")]
async fn second_process_saves_the_copy_after_the_first_stops() {
    let fixture = Fixture::new().await;
    create_all(&*fixture.cable, [flow(1, "a")]).await;
    let (first, second) = (fixture.follow().await, fixture.follow().await);
    until_same(&first, &*fixture.cable).await;
    until_same(&second, &*fixture.cable).await;
    eventually("the copy is saved", async || fixture.directory.path().read_dir().unwrap().count() == 2).await;
    first.stop().await;
    drop(first);
    change(&*fixture.cable, Change::replace(flow(1, "b")), stamp(1)).await;
    until_same(&second, &*fixture.cable).await;
    let expected = moment(&*fixture.cable).await;
    second.stop().await;
    drop(second);
    assert_eq!(known(&fixture.after_a_restart().await).await.unwrap(), expected);
}

/// Changes are appended. A file that has grown too long is rewritten.
#[tokio::test(flavor = "multi_thread")]
async fn saved_copy_stays_within_its_size_limit() {
    let fixture = Fixture::new().await;
    let stored = &*fixture.cable;
    create_all(stored, [flow(1, "a")]).await;
    let last_known = fixture.follow().await;
    until_known(&last_known).await;
    let filling = "x".repeat(300_000);
    let mut longest = 0;
    for edit in 0..16 {
        let members = format!(r#""edit":{edit},"filling":"{filling}""#);
        change(stored, Change::replace(flow_with(1, "a", &members)), stamp(edit)).await;
        until_same(&last_known, stored).await;
        eventually("the change is saved", async || {
            fs::read_to_string(fixture.path()).unwrap().contains(&format!(r#""edit":{edit},"#))
        })
        .await;
        longest = longest.max(fs::metadata(fixture.path()).unwrap().len());
    }
    assert!((1_000_000..3_000_000).contains(&longest), "{longest}");
    last_known.stop().await;
    assert_eq!(known(&fixture.after_a_restart().await).await.unwrap(), fixture.stored().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_is_in_memory_without_a_writable_directory() {
    let fixture = Fixture::new().await;
    create_all(&*fixture.cable, [flow(1, "a")]).await;
    let file = fixture.directory.path().join("file");
    fs::write(&file, "").unwrap();
    for directory in [None, Some(file)] {
        let last_known = fixture.follow_with(fixture.settings().with_directory(directory)).await;
        until_same(&last_known, &*fixture.cable).await;
        last_known.stop().await;
    }
}
