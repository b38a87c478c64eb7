//! `GET /api/flows` and its parameters.

use std::sync::Arc;

use serde_json::{Value, json};
use strom_store::FlowRepository;
use strom_store::repository::{ListQuery, Sort};

use super::client::{Client, ID, OTHER_ID, problem};

type Repository = Arc<dyn FlowRepository>;

/// Stores the flows `a` to `e`. `b` is playing, and `c` starts automatically.
async fn five(repository: Repository) -> Client {
    let client = Client::new(repository);
    for (number, name) in ["e", "c", "a", "d", "b"].into_iter().enumerate() {
        let further = match name {
            "b" => r#","gst_state":"Playing""#,
            "c" => r#","properties":{"auto_restart":true,"tag":"x y"}"#,
            _ => "",
        };
        let document = format!(r#"{{"id":"57130000-0000-4000-8000-00000000000{number}","name":"{name}"{further}}}"#);
        assert_eq!(client.send("POST /api/flows", &[], &document).await.status, 201);
    }
    client
}

fn names(list: &Value) -> String {
    list["flows"].as_array().unwrap().iter().map(|flow| flow["name"].as_str().unwrap()).collect()
}

pub(super) async fn lists_are_filtered_sorted_and_paged(repository: Repository) {
    let client = five(repository).await;
    let list = async |query: &str| client.send(&format!("GET /api/flows{query}"), &[], "").await.json();
    for (query, expected) in [
        ("", "abcde"),
        ("?", "abcde"),
        ("?_=1700000000&_=2", "abcde"),
        ("?state=Playing", "b"),
        ("?state=Null&auto_restart=false", "ade"),
        ("?auto_restart=true", "c"),
        ("?name=D", "d"),
        ("?name=", "abcde"),
        ("?contains=%7B%22properties%22%3A%7B%22tag%22%3A%22x+y%22%7D%7D", "c"),
        ("?sort=-name&limit=2", "ed"),
        ("?sort=created_at", "ecadb"),
        ("?sort=-updated_at,name&view=full&limit=10000", "bdace"),
    ] {
        assert_eq!(names(&list(query).await), expected, "{query}");
    }

    let first = list("?sort=-name&limit=2&count=true").await;
    assert_eq!((names(&first), &first["total"]), ("ed".to_owned(), &json!(5)));
    let second = list(&format!("?sort=-name&limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!((names(&second), &second["total"]), ("cb".to_owned(), &Value::Null));
    let last = list(&format!("?sort=-name&limit=2&cursor={}", second["next_cursor"].as_str().unwrap())).await;
    assert_eq!((names(&last), &last["next_cursor"]), ("a".to_owned(), &Value::Null));
}

pub(super) async fn summary_view_returns_head_and_counts(repository: Repository) {
    let client = Client::new(repository.clone());
    let document = format!(
        r#"{{"id":"{ID}","name":"Studio \"1\"","state":"Paused","elements":[{{"id":"a"}},{{"id":"b"}}],
            "blocks":[{{"id":"c"}}],"links":[],"properties":{{"auto_restart":true}}}}"#
    );
    client.send("POST /api/flows", &[], &document).await;
    client.send(&format!("PUT /api/flows/{ID}"), &[], &document.replace("1\\\"", "2\\\"")).await;
    let version = repository.get(ID.parse().unwrap()).await.unwrap().unwrap().version;
    let head = repository.summaries(&ListQuery::default()).await.unwrap().items.remove(0).item;
    let expected = json!({ "flows": [{
        "id": ID, "name": "Studio \"2\"", "state": "Paused", "auto_restart": true, "revision": 2,
        "created_at": version.created_at, "updated_at": version.updated_at, "size": head.size,
        "elements": 2, "blocks": 1, "links": 0,
    }], "total": 1 });
    let answer = client.shown("GET /api/flows?view=summary&count=true").await;
    assert_eq!(answer, format!("200\ncontent-type: application/json\n{expected}"));
}

pub(super) async fn invalid_list_parameters_return_400(repository: Repository) {
    let client = five(repository.clone()).await;
    let by_name = repository.list(&ListQuery { limit: Some(1), ..ListQuery::default() }).await.unwrap().next.unwrap();
    assert!(by_name.belongs_to(&Sort::default()));
    for (query, detail) in [
        ("limit=0", "`limit`: must be a number from 1 to 10000"),
        ("limit=10001", "`limit`: must be a number from 1 to 10000"),
        ("limit=many", "`limit`: must be a number from 1 to 10000"),
        ("limit=", "`limit`: must be a number from 1 to 10000"),
        ("state=playing", "`state`: a state is one of `Null`, `Ready`, `Paused`, `Playing`"),
        ("auto_restart=1", "`auto_restart`: must be `true` or `false`"),
        ("count=", "`count`: must be `true` or `false`"),
        ("view=short", "`view`: must be `full` or `summary`"),
        ("name=%00", "`name`: a name cannot contain the character U+0000"),
        ("sort=size", "`sort`: flows are sorted by `name`, `created_at` or `updated_at`, not by `size`"),
        ("sort=name,-name", "`sort`: the sort key `name` occurs twice"),
        ("cursor=x", "`cursor`: not a cursor of this list; restart without a cursor"),
        (&format!("cursor={by_name}&sort=-name"), "`cursor`: the cursor belongs to a list with another `sort`"),
        ("contains=", "`contains`: `$`: not JSON at line 1, column 1: the text ends where a value is expected"),
        ("nmae=a", "`nmae`: unknown parameter; did you mean `name`?"),
        ("name=a&name=b", "`name`: the parameter occurs twice"),
    ] {
        let answer = client.shown(&format!("GET /api/flows?{query}")).await;
        assert_eq!(answer, problem(400, "invalid-parameter", "invalid query parameter", detail), "{query}");
    }
}

pub(super) async fn unknown_parameters_are_rejected_on_every_route(repository: Repository) {
    let client = Client::new(repository);
    let flow = format!("/api/flows/{ID}");
    for (line, nearest) in [
        ("GET /health?verbose=1", None),
        ("GET /ready?x", None),
        ("GET /metrics?x=1", None),
        ("GET /api/version?x=1", None),
        ("GET /api/sources?x=1", None),
        ("HEAD /api/flows?limt=1", Some("limit")),
        ("GET /api/trash?curser=1", Some("cursor")),
        ("GET /api/ws?auth_tokn=1", Some("auth_token")),
        ("POST /api/flows?dry_run=true", None),
        (&format!("GET {flow}?view=summary"), None),
        (&format!("PUT {flow}?merg=auto"), Some("merge")),
        (&format!("PATCH {flow}?Merge=auto"), Some("merge")),
        (&format!("DELETE {flow}?force=true"), None),
        (&format!("GET {flow}/history?limits=1"), Some("limit")),
    ] {
        let answer = client.send(line, &[], "").await;
        assert_eq!(answer.status, 400, "{line}: {}", answer.body);
        if !line.starts_with("HEAD") {
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            let rest = nearest.map_or("this route has none".to_owned(), |name| format!("did you mean `{name}`?"));
            assert!(detail.contains("unknown parameter") && detail.ends_with(&rest), "{line}: {detail}");
        }
    }
    for line in ["GET /health?_=1", "GET /?utm_source=x", "GET /api/flows?_=1&limit=1"] {
        assert_eq!(client.send(line, &[], "").await.status, 200, "{line}");
    }
}

pub(super) async fn lists_have_validators(repository: Repository) {
    let client = Client::new(repository);
    let document = |name: &str| {
        format!(
            r#"{{"id":"{ID}","name":"{name}","blocks":[{{"id":"o","block_definition_id":"builtin.inter_output"}}]}}"#
        )
    };
    client.send("POST /api/flows", &[], &document("one")).await;
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{OTHER_ID}","name":"b"}}"#)).await;
    client.send(&format!("DELETE /api/flows/{OTHER_ID}"), &[], "").await;
    let history = format!("/api/flows/{ID}/history");
    for path in ["/api/flows", "/api/flows?view=summary", "/api/sources", "/api/trash", &history] {
        let line = format!("GET {path}");
        let first = client.send(&line, &[], "").await;
        let etag = first.headers["etag"].to_str().unwrap().to_owned();
        let modified = first.headers["last-modified"].to_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc2822(modified).is_ok(), "{path}: {modified}");
        for known in [etag.clone(), format!("W/{etag}"), etag.replace("\"list", "\"x\", \"list"), "*".to_owned()] {
            let answer = client.send(&line, &[("if-none-match", &known)], "").await;
            assert_eq!((answer.status, answer.headers["etag"].to_str().unwrap()), (304, &*etag), "{path} {known}");
        }
        assert_eq!(client.send(&line, &[("if-none-match", "\"list-0\"")], "").await.status, 200);
        assert_eq!(client.send(&line, &[("if-none-match", "x")], "").await.status, 400);
        client.send(&format!("PUT /api/flows/{ID}"), &[], &document(&format!("after {path}"))).await;
        let status = if path == "/api/trash" { 304 } else { 200 };
        assert_eq!(client.send(&line, &[("if-none-match", &etag)], "").await.status, status, "{path}");
    }
    let etag = async || client.send("GET /api/flows", &[], "").await.headers["etag"].clone();
    let before = etag().await;
    client.send(&format!("PUT /api/flows/{ID}/state"), &[], r#"{"state":"Playing"}"#).await;
    assert_ne!(etag().await, before, "a report changes the list");
}
