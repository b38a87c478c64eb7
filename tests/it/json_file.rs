//! The file as users and other programs see it.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use strom_store::internals::samples::{change, create_all, everything, flow, flow_with, id, stamp};
use strom_store::json::Settings;
use strom_store::repository::{Change, Outcome, Precondition};

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, hasty, lazy};

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
async fn save_rewrites_only_the_changed_flow() {
    let file = File::holding(HAND_WRITTEN);
    let store = file.open_with(hasty()).await;
    change(&*store, Change::replace(flow_with(2, "edited", r#""gain":1.10"#)), stamp(0)).await;
    create_all(&*store, [flow(3, "new")]).await;
    let expected = HAND_WRITTEN.replace("\"second\"", "\"edited\"").replace(
        "    }\n  ],\n",
        "    },\n    {\n      \"id\": \"57130000-0000-4000-8000-000000000003\",\n      \"name\": \"new\"\n    }\n  ],\n",
    );
    eventually("the file is written after the quiet time", async || file.read() == expected).await;
    store.close().await.unwrap();
    assert_eq!(file.read(), expected);
}

#[tokio::test]
async fn diff_contains_only_the_saved_change() {
    let file = File::holding(HAND_WRITTEN);
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(3, "third"), flow(4, "fourth")]).await;
    eventually("the file is written", async || file.read().contains("fourth")).await;
    let before = file.read();
    change(&*store, Change::replace(flow(3, "THIRD")), stamp(9)).await;
    eventually("the file is written", async || file.read().contains("THIRD")).await;
    assert_eq!(file.read(), before.replace("\"third\"", "\"THIRD\""));
    change(&*store, Change::delete(id(3)), stamp(10)).await;
    store.close().await.unwrap();
    let removed = "    {\n      \"id\": \"57130000-0000-4000-8000-000000000003\",\n      \"name\": \"third\"\n    },\n";
    assert!(before.contains(removed));
    assert_eq!(file.read(), before.replace(removed, ""));
}

/// With the default settings, the file is complete one second after the last save.
#[tokio::test]
async fn file_is_complete_and_pretty_printed_after_the_quiet_time() {
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
    eventually("the file is complete", async || file.path.exists() && file.read() == expected("a")).await;
    change(&*store, Change::replace(flow_with(1, "edited", members)), stamp(1)).await;
    store.close().await.unwrap();
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

/// Under load the quiet time never passes, and the interval triggers the checkpoint.
#[tokio::test]
async fn file_is_written_during_continuous_saves() {
    let file = File::new();
    let settings = lazy().with_quiet(Duration::from_secs(3_600)).with_interval(Duration::from_millis(50));
    let store = file.open_with(settings).await;
    let mut edit = 0;
    eventually("the file is written", async || {
        edit += 1;
        let put = Change::Put(flow(1, &format!("edit {edit}")), Precondition::Any);
        change(&*store, put, stamp(edit)).await;
        file.path.exists()
    })
    .await;
    store.close().await.unwrap();
    assert!(file.read().contains(&format!("\"edit {edit}\"")));
}

#[tokio::test]
async fn unchanged_content_is_not_written() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    change(&*store, Change::Delete(id(1), Precondition::Any), stamp(0)).await;
    assert_eq!(file.names(), ["flows.json.lock"]);
    create_all(&*store, [flow(1, "a")]).await;
    eventually("the file is written", async || file.path.exists()).await;
    let before = file.path.metadata().unwrap().ino();
    assert_eq!(change(&*store, Change::replace(flow(1, "a")), stamp(1)).await.outcome, Outcome::Unchanged);
    store.close().await.unwrap();
    assert_eq!(file.path.metadata().unwrap().ino(), before, "the same content is not written again");
    assert_eq!(file.names(), ["flows.json", "flows.json.journal", "flows.json.lock"], "no temporary file remains");
}

#[tokio::test]
async fn opening_and_closing_does_not_change_the_file() {
    let unusual = HAND_WRITTEN.replace("      \"gain\": 1.10", "\t\"gain\" :1.10 ");
    let file = File::holding(&unusual);
    for _ in 0..2 {
        let store = file.open_with(hasty()).await;
        assert_eq!(everything(&*store).await.len(), 2);
        store.close().await.unwrap();
        assert_eq!(file.read(), unusual);
    }
}

#[tokio::test]
async fn new_file_is_private_and_an_existing_file_keeps_its_mode() {
    let file = File::new();
    let mode = || file.path.metadata().unwrap().permissions().mode() & 0o777;
    for (expected, next) in [(0o600, 0o640), (0o640, 0o664), (0o664, 0o600)] {
        let store = file.open_with(hasty()).await;
        change(&*store, Change::Put(flow(1, &format!("{next}")), Precondition::Any), stamp(0)).await;
        store.close().await.unwrap();
        assert_eq!(mode(), expected);
        std::fs::set_permissions(&file.path, Permissions::from_mode(next)).unwrap();
    }
}

/// Members that older versions of this store have written are unknown members as well.
#[tokio::test]
async fn unknown_members_stay_byte_for_byte() {
    for member in ["null", "7", "[1,  2.50]", r#"{"flows":{"x":1},   "deleted":3}"#] {
        let text = HAND_WRITTEN.replace("\"last\": null", &format!("\"strom\": {member},\n  \"last\": {member}"));
        let file = File::holding(&text);
        let store = file.open_with(hasty()).await;
        change(&*store, Change::replace(flow_with(2, "edited", r#""gain":1.10"#)), stamp(0)).await;
        store.close().await.unwrap();
        assert_eq!(file.read(), text.replace("\"second\"", "\"edited\""));
    }
}
