//! The program with its index on a Qdrant server that goes away, comes back, and forgets.

use std::pin::pin;
use std::process::Output;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::qdrant_server::QdrantServer;

use crate::cli::{run, text};
use crate::harness::{Caller, Server, id};
use crate::model_server::ModelServer;
use crate::wait::until;

async fn serve(model: &ModelServer, qdrant: &QdrantServer) -> Server {
    Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("QDRANT_URL", &qdrant.url()),
    ])
    .await
}

/// Asks until the answer of a search is as wished: the index is mended in the background.
async fn until_found(caller: &Caller, profile: &str, query: &str, text: &str) -> Value {
    let path = format!("/api/v1/memory-profiles/{profile}/memories/search");
    for _ in 0..300 {
        let answer = caller.post(&path, &json!({ "query": query })).await;
        if answer.status == StatusCode::OK && answer.text.contains(text) {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = caller.post(&path, &json!({ "query": query })).await;
    panic!("not found in time: {} {}", answer.status, answer.text);
}

/// A user whose dog is known and found, her profile and a session.
async fn ada_with_a_dog(server: &Server) -> (Caller, String, String) {
    let ada = server.sign_up("ada").await;
    let (profile, session) = (ada.default_profile().await, ada.session("normal").await);
    ada.chat(&session, "My dog is called Rex.").await;
    ada.wait_for_memories(&profile, 1).await;
    until_found(&ada, &profile, "dog", "called Rex.").await;
    (ada, profile, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_goes_on_without_its_index_and_says_so() {
    let model = ModelServer::start().await;
    let mut qdrant = QdrantServer::start();
    let server = serve(&model, &qdrant).await;
    let (ada, profile, session) = ada_with_a_dog(&server).await;
    let answer = ada.chat(&session, "What is my dog called?").await;
    assert_eq!(answer["recall"], "done", "{answer}");
    assert!(
        answer["memories"][0].to_string().contains("Rex"),
        "{answer}"
    );

    qdrant.stop();
    for _ in 0..4 {
        let begun = Instant::now();
        let answer = ada.chat(&session, "And what is it called now?").await;
        assert_eq!(answer["recall"], "failed", "{answer}");
        assert_eq!(answer["memories"], json!([]));
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
    }
    let ready = ada.get("/readyz").await.expect(StatusCode::OK);
    assert_eq!(ready["status"], "ready", "{ready}");
    let check = &ready["checks"]["memory_index"];
    assert_eq!(
        (&check["ok"], &check["required"]),
        (&json!(false), &json!(false))
    );
    let path = format!("/api/v1/memory-profiles/{profile}/memories/search");
    let answer = ada.post(&path, &json!({"query": "dog"})).await;
    answer.is_problem(503, "index_unavailable");
    // What is said meanwhile is learned, and indexed when the server is back.
    ada.chat(&session, "My cat is called Mia.").await;
    ada.wait_for_memories(&profile, 2).await;

    qdrant.restart();
    until_found(&ada, &profile, "dog", "called Rex.").await;
    until_found(&ada, &profile, "cat", "called Mia.").await;
    assert_eq!(qdrant.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start_is_met_later() {
    let model = ModelServer::start().await;
    let mut qdrant = QdrantServer::start();
    qdrant.stop();
    let server = serve(&model, &qdrant).await;
    let ada = server.sign_up("ada").await;
    let (profile, session) = (ada.default_profile().await, ada.session("normal").await);
    let answer = ada.chat(&session, "My dog is called Rex.").await;
    assert_eq!(answer["recall"], "failed", "{answer}");
    ada.wait_for_memories(&profile, 1).await;
    qdrant.restart();
    until_found(&ada, &profile, "dog", "called Rex.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_forgot_everything_is_filled_at_the_next_start() {
    let model = ModelServer::start().await;
    let qdrant = QdrantServer::start();
    let server = serve(&model, &qdrant).await;
    let (mut ada, profile, _) = ada_with_a_dog(&server).await;
    // Comparing leaves alone what changed less than a minute ago; here it was learned long ago.
    age_memories(&server).await;
    qdrant.lose_last_writes(usize::MAX);
    assert_eq!(qdrant.total(), 0);
    let server = server.restart_after_kill().await;
    ada.base.clone_from(&server.base);
    until_found(&ada, &profile, "dog", "called Rex.").await;
}

/// Runs a command beside the server, with its settings and some others.
async fn beside(
    server: &Server,
    args: &'static [&'static str],
    changed: &[(&str, &str)],
) -> Output {
    let data = server.data.path().to_owned();
    let settings = server.settings().into_iter().chain(changed.iter().copied());
    let settings: Vec<_> = settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let run = move || {
        let settings: Vec<_> = settings.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        run(&data, args, &settings)
    };
    tokio::task::spawn_blocking(run).await.expect("joined")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_beside_the_server_is_not_felt() {
    let model = ModelServer::start().await;
    let qdrant = QdrantServer::start();
    let server = serve(&model, &qdrant).await;
    let (ada, profile, session) = ada_with_a_dog(&server).await;

    let mut reindex = pin!(beside(&server, &["reindex"], &[]));
    let path = format!("/api/v1/memory-profiles/{profile}/memories/search");
    let (query, mut searches) = (json!({"query": "dog"}), 0);
    let output = loop {
        tokio::select! {
            output = &mut reindex => break output,
            answer = ada.post(&path, &query) => {
                assert!(answer.text.contains("called Rex."), "{answer:?}");
                searches += 1;
            }
        }
    };
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(searches > 0, "there was something to feel");
    assert_eq!(qdrant.collections(), ["memorychat-2"]);
    // Written into the new one at once, although the server believed in the old one a moment ago.
    ada.chat(&session, "My cat is called Mia.").await;
    until_found(&ada, &profile, "cat", "called Mia.").await;
    until_found(&ada, &profile, "dog", "called Rex.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_embedding_model_is_refused_until_the_index_is_made_anew() {
    let model = ModelServer::start().await;
    let qdrant = QdrantServer::start();
    let mut server = serve(&model, &qdrant).await;
    let (mut ada, profile, _) = ada_with_a_dog(&server).await;
    assert!(server.stop());

    let newer = [("OPENAI_EMBEDDING_MODEL", "newer")];
    let refused = beside(&server, &["serve"], &newer).await;
    let said = text(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("run `memorychat reindex`"), "{said}");
    assert_eq!(qdrant.collections(), ["memorychat-1"], "as it was");
    let reindex = beside(&server, &["reindex"], &newer).await;
    assert!(reindex.status.success(), "{}", text(&reindex.stderr));

    let server = server.restart_with(&newer).await;
    ada.base.clone_from(&server.base);
    until_found(&ada, &profile, "dog", "called Rex.").await;
    let info = ada.get("/readyz").await.text;
    assert!(info.contains("newer"), "{info}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_embedding_model_is_found_out_when_the_server_is_met_later() {
    let model = ModelServer::start().await;
    let mut qdrant = QdrantServer::start();
    let server = serve(&model, &qdrant).await;
    let (mut ada, _, session) = ada_with_a_dog(&server).await;

    qdrant.stop();
    let newer = [("OPENAI_EMBEDDING_MODEL", "newer")];
    let server = server.restart_with(&newer).await;
    ada.base.clone_from(&server.base);
    qdrant.restart();
    until("the operator is told", async || {
        let log = text(&server.log());
        log.lines().any(|line| {
            line.contains("cannot be compared") && line.contains("run `memorychat reindex`")
        })
    })
    .await;
    let answer = ada.chat(&session, "What is my dog called?").await;
    assert_eq!(answer["recall"], "failed", "{answer}");
    assert_eq!(qdrant.collections(), ["memorychat-1"], "as it was");
    assert_eq!(qdrant.total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_names_another_owner_is_in_no_prompt_and_is_told() {
    let model = ModelServer::start().await;
    let qdrant = QdrantServer::start();
    let server = serve(&model, &qdrant).await;
    let (ada, profile, _) = ada_with_a_dog(&server).await;
    let bob = server.sign_up("bob").await;
    let memories = format!("/api/v1/memory-profiles/{profile}/memories");
    let listed = ada.get(&memories).await.expect(StatusCode::OK);
    let memory = id(&listed[0]);

    let me = bob.get("/api/v1/auth/me").await.expect(StatusCode::OK);
    let uuid = |text: &str| text.parse().expect("a UUID");
    let theirs = uuid(&bob.default_profile().await);
    assert!(qdrant.change_owner(uuid(&memory), uuid(&id(&me)), theirs));
    for caller in [&bob, &ada] {
        let session = caller.session("normal").await;
        let answer = caller.chat(&session, "What is my dog called?").await;
        assert_eq!(answer["recall"], "done", "{answer}");
        assert_eq!(answer["memories"], json!([]));
        let prompt = model.chats().pop().expect("a call").body.to_string();
        assert!(!prompt.contains("Rex"), "{prompt}");
    }

    let body = json!({"content": "My dog is called Max."});
    let path = format!("{memories}/{memory}");
    ada.patch(&path, &body).await.expect(StatusCode::OK);
    until("the operator is told", async || {
        ada.get("/readyz").await.text.contains("wrong owner")
    })
    .await;
}

/// Makes every memory an hour old.
async fn age_memories(server: &Server) {
    use sea_orm::{ConnectionTrait, Database};
    let file = server.data.path().join("memorychat.db");
    let url = match &server.postgres {
        Some(postgres) => postgres.url().to_owned(),
        None => format!("sqlite://{}", file.display()),
    };
    let db = Database::connect(url).await.expect("the database");
    let schema = if server.postgres.is_some() { "mc." } else { "" };
    let sql = format!("update {schema}memories set updated_at = updated_at - 3600000000");
    db.execute_unprepared(&sql).await.expect("aged");
}
