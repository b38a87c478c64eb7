//! The page that shows the OpenAPI document, and the document without a server.

use serde_json::Value;

use super::failures;

/// The page asks nobody else for anything.
#[tokio::test]
async fn the_page_is_whole() {
    let client = failures::client(None);
    let page = client.send("GET /swagger-ui", &[], "").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!page.body.contains("://"), "{}", page.body);
    let files = page.body.split('"').filter(|part| part.starts_with("/swagger-ui/"));
    let mut found = 0;
    for file in files {
        assert_eq!(client.bytes(file).await.0, 200, "{file}");
        found += 1;
    }
    assert_eq!(found, 7, "{}", page.body);
    let start = client.send("GET /swagger-ui/swagger-initializer.js", &[], "").await.body;
    assert!(start.contains(r#""url": "/api-docs/openapi.json""#) && start.contains(r#""validatorUrl": "none""#));
    assert!(!start.contains("://"), "{start}");
}

/// The document for those who have no server.
#[test]
fn the_document_can_be_had_without_a_server() {
    let document: Value = serde_json::from_str(&strom::http::openapi().to_json().unwrap()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/flows"]["get"]["security"].is_array());
}
