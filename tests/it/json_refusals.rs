//! Files that are not opened: named, explained, and left byte for byte as they are.

use strom::json::JsonRepository;
use strom::testkit::samples::time;

use crate::support::json::File;

const ID: &str = "57130000-0000-4000-8000-000000000001";

async fn problem(content: impl AsRef<[u8]>) -> String {
    let file = File::new();
    file.write(&content);
    let error = file.try_open().await.unwrap_err();
    assert_eq!(std::fs::read(&file.path).unwrap(), content.as_ref(), "the file is as it was");
    assert_eq!(file.names(), ["flows.json", "flows.json.lock"]);
    assert_eq!(error.location, file.path.display().to_string());
    assert!(error.remedy.ends_with('.'), "{}", error.remedy);
    error.problem
}

#[tokio::test]
async fn a_file_that_is_not_entirely_understood_is_refused() {
    let flow = format!(r#"{{"id":"{ID}","name":"a"}}"#);
    let simple_form = ID.replace('-', "");
    let cases = [
        (String::new(), "the file is empty"),
        ("\u{feff} \n".into(), "the file is empty"),
        ("{\"version\":1,\n\"flows\":[".into(), "`$`: not JSON: EOF while parsing a list at line 2 column 9"),
        ("[]".into(), "`$`: expected an object with `version` and `flows`"),
        (r#"{"version":1}"#.into(), "`$.flows`: missing"),
        (r#"{"flows":[]}"#.into(), "`$.version`: missing"),
        (r#"{"version":"1","flows":[]}"#.into(), "`$.version`: expected 1"),
        (r#"{"version":0,"flows":[]}"#.into(), "`$.version`: expected 1"),
        (r#"{"version":2,"flows":{}}"#.into(), "`$.version`: the file is of a newer version than 1"),
        (r#"{"version":1,"flows":{}}"#.into(), "`$.flows`: expected an array"),
        (r#"{"version":1,"flows":null}"#.into(), "`$.flows`: expected an array"),
        (r#"{"version":1,"flows":[],"flows":[]}"#.into(), "`$.flows`: the member occurs twice"),
        (format!(r#"{{"version":1,"flows":[{flow},7]}}"#), "`$.flows[1]`: expected an object, found a number"),
        (format!(r#"{{"version":1,"flows":[{flow},{{"id":"x"}}]}}"#), "`$.flows[1].id`: not a UUID"),
        (
            format!(r#"{{"version":1,"flows":[{{"id":"{ID}","name":"a","x":{{"y":[1,"\u0000"]}}}}]}}"#),
            "`$.flows[0].x.y[1]`: holds the character U+0000, which cannot be stored",
        ),
        (
            format!(r#"{{"version":1,"flows":[{flow},{{"id":"{simple_form}","name":"b"}}]}}"#),
            "`$.flows[1].id`: the flow 57130000-0000-4000-8000-000000000001 is there already, as `$.flows[0]`",
        ),
    ];
    for (content, expected) in cases {
        assert_eq!(problem(&content).await, expected, "{content}");
    }
    assert_eq!(problem(b"{\"version\":1,\"flows\":[\"\xff\"]}").await, "the file is not UTF-8 from byte 23 on");
}

#[tokio::test]
async fn only_files_are_opened() {
    let file = File::new();
    let error = JsonRepository::open(file.directory(), time(0)).await.unwrap_err();
    assert_eq!(error.problem, "not a file");
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_the_file() {
    let file = File::new();
    let first = file.open().await;
    let link = file.directory().join("link.json");
    std::os::unix::fs::symlink("flows.json", &link).unwrap();
    for path in [&file.path, &link] {
        let error = JsonRepository::open(path, time(0)).await.unwrap_err();
        assert_eq!(error.problem, format!("in use by the process {}", std::process::id()));
    }
    first.close().await;
    file.open().await;
}

#[tokio::test]
async fn a_lock_left_behind_is_no_obstacle() {
    let file = File::new();
    std::fs::write(file.directory().join("flows.json.lock"), "4194304999 and more\n").unwrap();
    drop(file.open().await);
    let repository = file.open().await;
    let lock = std::fs::read_to_string(file.directory().join("flows.json.lock")).unwrap();
    assert_eq!(lock, format!("{}\n", std::process::id()));
    drop(repository);
}
