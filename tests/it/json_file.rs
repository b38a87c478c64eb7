//! The file as people and other programs see it.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use strom::repository::{Author, Change, Outcome, Precondition, RepositoryError, Revision};
use strom::testkit::samples::{change, create_all, everything, flow, flow_with, found, id, stamp, stored};

use crate::support::json::File;

const HAND_WRITTEN: &str = r#"{
  "$schema": "https://example.com/flows.json",
  "version": 1,
  "notes": {"kept": [1,  2.50]},
  "flows": [
    {
      "id": "57130000-0000-4000-8000-000000000002",
      "name": "second",
      "gain": 1.10
    },
    {
      "id": "57130000-0000-4000-8000-000000000001",
      "name": "first",
      "unknown": {
        "x": [
          18446744073709551617
        ]
      }
    }
  ],
  "last": null
}
"#;

#[tokio::test]
async fn a_save_changes_what_was_changed() {
    let file = File::holding(HAND_WRITTEN);
    let repository = file.open().await;
    change(&*repository, Change::replace(flow_with(2, "edited", r#""gain":1.10"#)), stamp(0)).await;
    create_all(&*repository, [flow(3, "new")]).await;
    let expected = HAND_WRITTEN.replace("\"second\"", "\"edited\"").replace(
        "    }\n  ],\n",
        "    },\n    {\n      \"id\": \"57130000-0000-4000-8000-000000000003\",\n      \"name\": \"new\"\n    }\n  ],\n",
    );
    assert_eq!(without_bookkeeping(&file.read()), expected);
}

#[tokio::test]
async fn a_diff_after_one_edit_is_that_edit() {
    let file = File::holding(HAND_WRITTEN);
    let repository = file.open().await;
    create_all(&*repository, [flow(3, "third"), flow(4, "fourth")]).await;
    let before = file.read();
    change(&*repository, Change::replace(flow(3, "THIRD")), stamp(9)).await;
    let after = file.read();
    let changed: Vec<_> = before.lines().zip(after.lines()).filter(|(a, b)| a != b).map(|(_, line)| line).collect();
    assert_eq!(before.lines().count(), after.lines().count());
    assert_eq!(changed.len(), 2, "{changed:#?}");
    assert_eq!(changed[0], "      \"name\": \"THIRD\"");
    assert!(
        changed[1].starts_with("      \"57130000-0000-4000-8000-000000000003\": {\"revision\":2,"),
        "{}",
        changed[1]
    );
}

/// The file without our member, which stands behind the flows.
fn without_bookkeeping(text: &str) -> String {
    let start = text.find(",\n  \"strom\": {").unwrap();
    let end = start + text[start..].find("\n  }").unwrap() + "\n  }".len();
    format!("{}{}", &text[..start], &text[end..])
}

#[tokio::test]
async fn an_older_strom_reads_it() {
    #[derive(serde::Deserialize)]
    struct Older {
        version: u32,
        flows: Vec<serde_json::Value>,
    }
    let file = File::new();
    let repository = file.open().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let older: Older = serde_json::from_str(&file.read()).unwrap();
    assert_eq!((older.version, older.flows.len()), (1, 2));
    // And writes it without our member; the flows are then new to us, and none is lost.
    repository.close().await;
    file.write(serde_json::to_string_pretty(&serde_json::json!({"version": 1, "flows": older.flows})).unwrap());
    assert_eq!(everything(&*file.open().await).await.len(), 2);
}

#[tokio::test]
async fn nothing_is_written_before_something_changes() {
    let file = File::new();
    let repository = file.open().await;
    change(&*repository, Change::Delete(id(1), Precondition::Any), stamp(0)).await;
    assert_eq!(file.names(), ["flows.json.lock"]);
    create_all(&*repository, [flow(1, "a")]).await;
    let before = file.path.metadata().unwrap().ino();
    assert_eq!(change(&*repository, Change::replace(flow(1, "a")), stamp(1)).await.outcome, Outcome::Unchanged);
    assert_eq!(file.path.metadata().unwrap().ino(), before, "the same content is not written again");
    assert_eq!(file.names(), ["flows.json", "flows.json.lock"], "no temporary file stays");
}

#[tokio::test]
async fn edits_by_hand_are_revisions_by_file() {
    let file = File::holding(&format!("\u{feff}{HAND_WRITTEN}"));
    let modified = chrono::DateTime::<chrono::Utc>::from(file.path.metadata().unwrap().modified().unwrap());
    let repository = file.open().await;
    let version = stored(&*repository, 1).await.version;
    assert_eq!((version.revision, &version.author), (Revision::FIRST, &Author::file()));
    assert_eq!(version.created_at.timestamp_micros(), modified.timestamp_micros());
    create_all(&*repository, [flow(3, "third"), flow(4, "fourth")]).await;
    change(&*repository, Change::delete(id(2)), stamp(1)).await;
    repository.close().await;

    // One edited, one taken out, one that was deleted put back.
    let fourth = r#""id": "57130000-0000-4000-8000-000000000004""#;
    let second = r#""id": "57130000-0000-4000-8000-000000000002""#;
    file.write(file.read().replace("\"third\"", "\"by hand\"").replacen(fourth, second, 1));
    let repository = file.open().await;
    let edited = stored(&*repository, 3).await;
    assert_eq!((edited.item.head().name.as_str(), edited.version.revision), ("by hand", Revision::new(2)));
    assert_eq!((edited.version.author, edited.version.created_at), (Author::file(), strom::testkit::samples::time(0)));
    assert_eq!(stored(&*repository, 2).await.version.revision, Revision::new(3), "goes on after its deletion");
    assert_eq!(stored(&*repository, 1).await.version, version, "what was not edited stays");
    assert!(found(&*repository, 4).await.is_none());
    let back = change(&*repository, Change::create(flow(4, "back")), stamp(2)).await;
    assert_eq!(back.version.unwrap().revision, Revision::new(3), "taking it out was a deletion");
}

/// An editor that has seen the first must not overwrite the second unawares.
#[tokio::test]
async fn two_edits_by_hand_without_a_save_between_them_have_two_revisions() {
    let file = File::holding(HAND_WRITTEN);
    for (name, revision) in [("first", 1), ("edited", 2), ("edited again", 3)] {
        file.write(
            file.read().replace("\"first\"", &format!("\"{name}\"")).replace("\"edited\"", &format!("\"{name}\"")),
        );
        let repository = file.open().await;
        let flow = stored(&*repository, 1).await;
        assert_eq!((flow.item.head().name.as_str(), flow.version.revision.number()), (name, revision));
        repository.close().await;
    }
    let before = file.read();
    file.open().await.close().await;
    assert_eq!(file.read(), before, "where nothing was changed, opening writes nothing");
    assert_eq!(without_bookkeeping(&before), HAND_WRITTEN.replace("\"first\"", "\"edited again\""));
}

#[tokio::test]
async fn bookkeeping_that_makes_no_sense_hides_no_flow() {
    let strange_lines = r#"{"flows":{"x":1,"57130000-0000-4000-8000-000000000001":{"revision":0}}}"#;
    for own in ["null", "7", "[]", r#"{"flows":[],"deleted":3}"#, strange_lines] {
        let file = File::holding(&HAND_WRITTEN.replace("\"last\": null", &format!("\"strom\": {own}")));
        let repository = file.open().await;
        assert_eq!(everything(&*repository).await.len(), 2, "{own}");
        create_all(&*repository, [flow(3, "third")]).await;
        repository.close().await;
        assert_eq!(everything(&*file.open().await).await.len(), 3, "{own}");
    }
}

#[tokio::test]
async fn a_file_changed_while_running_is_not_overwritten() {
    let file = File::holding(HAND_WRITTEN);
    let repository = file.open().await;
    // The clocks of file systems tick in milliseconds, and one of the edits has the length of the original.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let edits = [HAND_WRITTEN.replace("first", "FIRST"), HAND_WRITTEN.replace("first", "a longer name")];
    for edit in edits {
        file.write(&edit);
        let error = repository.apply(vec![Change::create(flow(3, "third"))], stamp(0)).await.unwrap_err();
        assert!(matches!(&error, RepositoryError::Diverged(text) if text.contains("restart Strom")), "{error:?}");
        assert_eq!(file.read(), edit);
        assert_eq!(everything(&*repository).await.len(), 2, "readers see nothing of it");
    }
    std::fs::remove_file(&file.path).unwrap();
    let error = repository.apply(vec![Change::create(flow(3, "third"))], stamp(0)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Diverged(_)));
    assert_eq!(file.names(), ["flows.json.lock"], "no temporary file stays");
}

#[tokio::test]
async fn a_file_is_for_its_owner_and_keeps_its_mode() {
    let file = File::new();
    let repository = file.open().await;
    let mode = || file.path.metadata().unwrap().permissions().mode() & 0o777;
    create_all(&*repository, [flow(1, "a")]).await;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&file.path, Permissions::from_mode(0o640)).unwrap();
    create_all(&*repository, [flow(2, "b")]).await;
    assert_eq!(mode(), 0o640);
    std::fs::set_permissions(&file.path, Permissions::from_mode(0o440)).unwrap();
    let error = repository.apply(vec![Change::create(flow(3, "c"))], stamp(0)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::ReadOnly(_)), "{error:?}");
    assert_eq!(everything(&*repository).await.len(), 2);
}

#[tokio::test]
async fn a_symbolic_link_stays_one() {
    let real = File::new();
    let linked = File::new();
    // To a file that does not exist yet, in a directory that does not exist yet.
    let target = real.directory().join("deeper/real.json");
    symlink(&target, &linked.path).unwrap();
    for (number, name) in [(1, "a"), (2, "b")] {
        let repository = linked.open().await;
        create_all(&*repository, [flow(number, name)]).await;
        repository.close().await;
    }
    assert!(linked.path.is_symlink());
    assert_eq!(linked.names(), ["flows.json"], "the lock is beside the real file");
    assert!(std::fs::read_to_string(target).unwrap().contains("\"b\""));
}
