//! The file as people and other programs see it.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use strom::json::Settings;
use strom::repository::{Change, Outcome, Precondition};
use strom::testkit::samples::{change, create_all, everything, flow, flow_with, id, stamp};

use crate::support::json::{File, hasty, lazy, until};

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
    let store = file.open_with(hasty()).await;
    change(&*store, Change::replace(flow_with(2, "edited", r#""gain":1.10"#)), stamp(0)).await;
    create_all(&*store, [flow(3, "new")]).await;
    let expected = HAND_WRITTEN.replace("\"second\"", "\"edited\"").replace(
        "    }\n  ],\n",
        "    },\n    {\n      \"id\": \"57130000-0000-4000-8000-000000000003\",\n      \"name\": \"new\"\n    }\n  ],\n",
    );
    until("it is quiet, and the file is written", async || file.read() == expected).await;
    store.close().await;
    assert_eq!(file.read(), expected);
}

#[tokio::test]
async fn a_diff_after_one_edit_is_that_edit() {
    let file = File::holding(HAND_WRITTEN);
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(3, "third"), flow(4, "fourth")]).await;
    until("the file is written", async || file.read().contains("fourth")).await;
    let before = file.read();
    change(&*store, Change::replace(flow(3, "THIRD")), stamp(9)).await;
    until("the file is written", async || file.read().contains("THIRD")).await;
    assert_eq!(file.read(), before.replace("\"third\"", "\"THIRD\""));
    change(&*store, Change::delete(id(3)), stamp(10)).await;
    store.close().await;
    let gone = "    {\n      \"id\": \"57130000-0000-4000-8000-000000000003\",\n      \"name\": \"third\"\n    },\n";
    assert!(before.contains(gone));
    assert_eq!(file.read(), before.replace(gone, ""));
}

/// With the settings that everybody has: a second after the last save people find the file complete.
#[tokio::test]
async fn when_it_is_quiet_the_file_is_complete_and_printed_as_everybody_prints() {
    let file = File::new();
    let store = file.open_with(Settings::default()).await;
    let members = r#""position":[1,2.5,-3],"properties":{"a":true,"b":null,"c":{}},"slots":[],"text":"é \"\\ \n""#;
    create_all(&*store, [flow_with(1, "a", members), flow_with(2, "b", "")]).await;
    let expected = |name: &str| {
        let flows: Vec<serde_json::Value> = vec![
            serde_json::from_str(flow_with(1, name, members).document().get()).unwrap(),
            serde_json::from_str(flow(2, "b").document().get()).unwrap(),
        ];
        let printed = serde_json::to_string_pretty(&serde_json::json!({ "flows": flows })).unwrap();
        printed.replacen("{\n", "{\n  \"version\": 1,\n", 1) + "\n"
    };
    until("the file is complete", async || file.path.exists() && file.read() == expected("a")).await;
    change(&*store, Change::replace(flow_with(1, "edited", members)), stamp(1)).await;
    store.close().await;
    assert_eq!(file.read(), expected("edited"));
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Older {
        version: u32,
        flows: Vec<serde_json::Value>,
    }
    let older: Older = serde_json::from_str(&file.read()).unwrap();
    assert_eq!((older.version, older.flows.len()), (1, 2));
}

/// Under load nothing is ever quiet, and the file is written all the same.
#[tokio::test]
async fn under_load_the_file_is_written_now_and_then() {
    let file = File::new();
    let settings = Settings { quiet: Duration::from_secs(3_600), interval: Duration::from_millis(50), ..lazy() };
    let store = file.open_with(settings).await;
    let mut edit = 0;
    until("the file is written", async || {
        edit += 1;
        let put = Change::Put(flow(1, &format!("edit {edit}")), Precondition::Any);
        change(&*store, put, stamp(edit)).await;
        file.path.exists()
    })
    .await;
    store.close().await;
    assert!(file.read().contains(&format!("\"edit {edit}\"")));
}

#[tokio::test]
async fn nothing_is_written_before_something_changes() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    change(&*store, Change::Delete(id(1), Precondition::Any), stamp(0)).await;
    assert_eq!(file.names(), ["flows.json.lock"]);
    create_all(&*store, [flow(1, "a")]).await;
    until("the file is written", async || file.path.exists()).await;
    let before = file.path.metadata().unwrap().ino();
    assert_eq!(change(&*store, Change::replace(flow(1, "a")), stamp(1)).await.outcome, Outcome::Unchanged);
    store.close().await;
    assert_eq!(file.path.metadata().unwrap().ino(), before, "the same content is not written again");
    assert_eq!(file.names(), ["flows.json", "flows.json.journal", "flows.json.lock"], "no temporary file stays");
}

#[tokio::test]
async fn opening_and_closing_leaves_the_file_as_it_is() {
    let strange = HAND_WRITTEN.replace("      \"gain\": 1.10", "\t\"gain\" :1.10 ");
    let file = File::holding(&strange);
    for _ in 0..2 {
        let store = file.open_with(hasty()).await;
        assert_eq!(everything(&*store).await.len(), 2);
        store.close().await;
        assert_eq!(file.read(), strange);
    }
}

#[tokio::test]
async fn a_file_is_for_its_owner_and_keeps_its_mode() {
    let file = File::new();
    let mode = || file.path.metadata().unwrap().permissions().mode() & 0o777;
    for (expected, next) in [(0o600, 0o640), (0o640, 0o664), (0o664, 0o600)] {
        let store = file.open_with(hasty()).await;
        change(&*store, Change::Put(flow(1, &format!("{next}")), Precondition::Any), stamp(0)).await;
        store.close().await;
        assert_eq!(mode(), expected);
        std::fs::set_permissions(&file.path, Permissions::from_mode(next)).unwrap();
    }
}

/// What an older version of this store has left in the file is a member like any other.
#[tokio::test]
async fn every_other_member_stays_to_the_letter() {
    for member in ["null", "7", "[1,  2.50]", r#"{"flows":{"x":1},   "deleted":3}"#] {
        let text = HAND_WRITTEN.replace("\"last\": null", &format!("\"strom\": {member},\n  \"last\": {member}"));
        let file = File::holding(&text);
        let store = file.open_with(hasty()).await;
        change(&*store, Change::replace(flow_with(2, "edited", r#""gain":1.10"#)), stamp(0)).await;
        store.close().await;
        assert_eq!(file.read(), text.replace("\"second\"", "\"edited\""));
    }
}
