//! Pages: bare arrays, a `Link` to the next one, and bounds that are kept.

use reqwest::StatusCode;
use reqwest::header::LINK;
use serde_json::{Value, json};

use crate::support::{User, start};

/// Follows the links from `path` on: the pages, each the value of `field` of its items.
async fn pages(ada: &User<'_>, path: &str, field: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let response = ada.fetch(&path).await;
        assert_eq!(response.status(), StatusCode::OK);
        let link = response
            .headers()
            .get(LINK)
            .map(|l| l.to_str().unwrap().to_owned());
        next = link.map(|link| {
            let target = link.strip_suffix(">; rel=\"next\"").unwrap();
            target.strip_prefix("</api/v1").unwrap().to_owned()
        });
        let items: Vec<Value> = response.json().await.unwrap();
        pages.push(items.iter().map(|item| item[field].clone()).collect());
    }
    pages
}

#[tokio::test]
async fn sessions_are_paged_by_links() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(json!(ada.session("normal").await));
    }
    // The clock stands still: of sessions updated at one moment the largest id comes first.
    ids.reverse();
    let pages = pages(&ada, "/sessions?limit=2", "id").await;
    assert_eq!(pages, [&ids[..2], &ids[2..4], &ids[4..]]);
    let second = ada.get("/sessions?limit=2&offset=2").await;
    assert_eq!(second[0]["id"], ids[2]);
}

#[tokio::test]
async fn the_filter_stays_in_the_link() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let work = ada
        .post(
            "/memory-profiles",
            &json!({"name": "Work"}),
            StatusCode::CREATED,
        )
        .await;
    for n in 0..6 {
        let profile = if n % 2 == 0 {
            &work["id"]
        } else {
            &Value::Null
        };
        let body = json!({"memory_profile_id": profile});
        ada.post("/sessions", &body, StatusCode::CREATED).await;
    }
    let path = format!(
        "/sessions?memory_profile_id={}&limit=2",
        work["id"].as_str().unwrap()
    );
    let pages = pages(&ada, &path, "memory_profile_id").await;
    assert_eq!(
        pages,
        [vec![work["id"].clone(); 2], vec![work["id"].clone(); 1]]
    );
}

#[tokio::test]
async fn messages_are_paged_oldest_first() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    for text in ["one", "two"] {
        let body = json!({"message": text});
        ada.post(&format!("/chat/{session}"), &body, StatusCode::OK)
            .await;
    }
    let path = format!("/sessions/{session}/messages?limit=3");
    let pages = pages(&ada, &path, "content").await;
    assert_eq!(pages, [vec!["one", "one", "two"], vec!["two"]]);
}

#[tokio::test]
async fn memories_are_paged_newest_first() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let path = format!("/memory-profiles/{}/memories", ada.default_profile().await);
    for text in ["one", "two", "three"] {
        ada.post(&path, &json!({"content": text}), StatusCode::CREATED)
            .await;
    }
    let pages = pages(&ada, &format!("{path}?limit=2"), "memory").await;
    assert_eq!(pages, [vec!["three", "two"], vec!["one"]]);
}

#[tokio::test]
async fn a_page_out_of_bounds_is_refused() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let messages = format!("/sessions/{}/messages", ada.session("normal").await);
    let huge = "limit=99999999999999999999999999";
    for (path, query) in [
        ("/sessions", "limit=0"),
        ("/sessions", "limit=101"),
        ("/sessions", "limit=-1"),
        ("/sessions", "limit=x"),
        ("/sessions", huge),
        ("/sessions", "offset=-1"),
        ("/sessions", "offset=9223372036854775807"),
        ("/sessions", "cursor=x"),
        ("/sessions", "memory_profile_id=x"),
        (messages.as_str(), "limit=501"),
    ] {
        let response = ada.fetch(&format!("{path}?{query}")).await;
        assert_eq!(
            response.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path}?{query}"
        );
        let problem: Value = response.json().await.unwrap();
        assert!(problem["detail"].is_string(), "{problem}");
    }
    let query = json!({"query": "dog", "limit": 51});
    let search = format!(
        "/memory-profiles/{}/memories/search",
        ada.default_profile().await
    );
    ada.post(&search, &query, StatusCode::UNPROCESSABLE_ENTITY)
        .await;
}
