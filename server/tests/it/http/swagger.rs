//! Swagger UI, and the OpenAPI document as the library returns it.

use serde_json::Value;

use super::failures;

#[tokio::test]
async fn swagger_ui_loads_only_its_own_files() {
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

#[test]
fn openapi_returns_the_document_without_a_server() {
    let document: Value = serde_json::from_str(&strom_server::http::openapi().to_json().unwrap()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/flows"]["get"]["security"].is_array());
}
