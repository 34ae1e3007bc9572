//! Conversations that move between replicas.

use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

use super::{Installation, at, metric};
use crate::harness::Caller;
use crate::model_server::ModelServer;
use crate::wait::until;

/// Was it in the prompt of the newest answer?
fn model_saw(model: &ModelServer, words: &str) -> bool {
    let chats = model.chats();
    let newest = chats.last().expect("a call");
    newest.body.to_string().contains(words)
}

#[tokio::test]
async fn a_session_made_on_one_goes_on_at_the_other() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let ada = one.sign_up("ada").await;
    let ada_there = at(&ada, &two);
    let session = ada.session("normal").await;
    let profile = ada.default_profile().await;
    // The other replica has looked at the empty index before anything is learned.
    ada_there
        .chat(&session, "What is the name of my dog?")
        .await;

    ada.chat(&session, "My dog is called Rex.").await;
    ada_there.chat(&session, "Good morning!").await;
    assert!(model_saw(&installation.model, "My dog is called Rex."));
    assert_eq!(ada.messages(&session).await.len(), 6);
    assert_eq!(ada_there.messages(&session).await.len(), 6);

    ada_there.wait_for_memories(&profile, 1).await;
    let fresh = ada_there.session("normal").await;
    let answer = ada_there.chat(&fresh, "What is the name of my dog?").await;
    assert_eq!(answer["memories_used"], 1, "{answer}");

    let path = format!("/api/v1/sessions/{session}");
    ada_there.delete(&path).await.expect_ok();
    ada.get(&path).await.is_problem(404, "session_not_found");
}

#[tokio::test]
async fn a_message_sent_to_both_at_once_is_asked_once_and_answered_by_both() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let ada = one.sign_up("ada").await;
    let ada_there = at(&ada, &two);
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}");
    let body = json!({"message": "My dog is called Rex. [slow]"});
    let ask = async |caller: Caller| {
        let mut refusals = 0;
        loop {
            let answer = caller.post_named(&path, &body, "one-key").await;
            if answer.status == StatusCode::OK {
                return (answer.json(), refusals);
            }
            answer.is_problem(409, "session_busy");
            assert!(answer.headers.contains_key("retry-after"));
            refusals += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let asked = [ada.clone(), ada_there.clone(), ada, ada_there.clone()].map(ask);
    let answers = futures::future::join_all(asked).await;
    let refusals: u32 = answers.iter().map(|(_, refusals)| refusals).sum();
    assert!(refusals > 0, "the other replica was still answering");
    for (answer, _) in &answers {
        for message in ["user_message", "assistant_message"] {
            assert_eq!(answer[message], answers[0].0[message]);
        }
    }
    assert_eq!(installation.model.chats().len(), 1);
    assert_eq!(ada_there.messages(&session).await.len(), 2);
    installation
        .wait_for_count("select count(*) from memories", 1)
        .await;
}

#[tokio::test]
async fn one_session_answers_one_question_at_a_time_wherever_it_is_asked() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let ada = one.sign_up("ada").await;
    let session = ada.session("normal").await;
    let slow = json!({"message": "[slow] one two three four five six seven eight"});
    let path = format!("/api/v1/chat/{session}");
    let asked = ada
        .request(Method::POST, &format!("{path}/stream"))
        .json(&slow);
    let stream = asked.send().await.expect("a stream");
    let refused = at(&ada, &two)
        .post(&path, &json!({"message": "And?"}))
        .await;
    refused.is_problem(409, "session_busy");
    let text = stream.text().await.expect("whole");
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    at(&ada, &two).chat(&session, "And now?").await;
}

const CANARY: &str = "zyxwv-canary-4711-qponm";

#[tokio::test]
async fn an_incognito_session_goes_on_at_the_other_and_leaves_nothing() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[("LOG_LEVEL", "trace")]).await;
    let ada = one.sign_up("ada").await;
    let ada_there = at(&ada, &two);
    let session = ada.session("incognito").await;
    ada.chat(&session, &format!("My secret is {CANARY}.")).await;
    ada_there.chat(&session, "What did I say?").await;
    assert!(model_saw(&installation.model, CANARY), "it goes on there");
    ada.chat(&session, "And what did you say?").await;
    assert!(model_saw(&installation.model, "What did I say?"));
    assert!(ada_there.messages(&session).await.is_empty());

    // A second user has no way to it, wherever they ask.
    let eve = two.sign_up("eve").await;
    let path = format!("/api/v1/sessions/{session}");
    eve.get(&path).await.is_problem(404, "session_not_found");

    let keys = installation.redis.command("KEYS *").expect("keys");
    assert!(keys.contains(&session), "{keys}");
    let expiring = "EVAL \"for _, k in ipairs(redis.call('KEYS', '*')) do \
                    if redis.call('PTTL', k) < 0 then return k end end return 'all'\" 0";
    let expiring = installation.redis.command(expiring).expect("an answer");
    assert!(expiring.contains("all"), "lives for ever: {expiring}");

    leaves_nothing(&installation, "in the database").await;
    for server in [&one, &two] {
        assert!(!contains(&server.log(), CANARY), "a log tells");
        assert!(files_with(server.data.path(), CANARY).is_empty());
    }

    ada_there.delete(&path).await.expect_ok();
    ada.get(&path).await.is_problem(404, "session_not_found");
    let keys = installation.redis.command("KEYS *").expect("keys");
    assert!(!keys.contains(&session), "{keys}");
}

/// Looks through every row and, where the server is on this machine, every byte of its folder; what
/// was said in normal mode proves that the search finds something.
async fn leaves_nothing(installation: &Installation, control: &str) {
    let normal = installation.replica(&[]).await;
    let bob = normal.sign_up("bob").await;
    let session = bob.session("normal").await;
    bob.chat(&session, control).await;
    assert!(rows_with(installation, control).await > 0);
    assert_eq!(rows_with(installation, CANARY).await, 0);

    installation.execute("checkpoint").await;
    let show = Statement::from_string(DbBackend::Postgres, "show data_directory");
    let row = installation.database().await.query_one_raw(show).await;
    let row = row.expect("an answer").expect("a row");
    let folder: String = row.try_get_by_index(0).expect("a folder");
    let folder = Path::new(&folder);
    if !folder.is_dir() {
        println!("left out: the files of the database are not on this machine");
        return;
    }
    assert!(!files_with(folder, control).is_empty(), "nothing to search");
    assert_eq!(files_with(folder, CANARY), Vec::<String>::new());
}

/// Rows of any table that hold a text.
async fn rows_with(installation: &Installation, text: &str) -> usize {
    let db = installation.database().await;
    let tables = "select format('%I.%I', table_schema, table_name) from information_schema.tables \
                  where table_type = 'BASE TABLE' \
                  and table_schema not in ('pg_catalog', 'information_schema')";
    let tables = Statement::from_string(DbBackend::Postgres, tables);
    let mut rows = 0;
    for table in db.query_all_raw(tables).await.expect("tables") {
        let table: String = table.try_get_by_index(0).expect("a name");
        let sql = format!("select 1 from {table} t where t::text like '%{text}%'");
        let found = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql));
        rows += found.await.expect("rows").len();
    }
    rows
}

fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).is_ok_and(|bytes| contains(&bytes, text)) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    bytes.windows(text.len()).any(|window| window == text)
}

#[tokio::test]
async fn without_redis_incognito_says_so_and_everything_else_goes_on() {
    let Some(mut installation) = Installation::start().await else {
        return;
    };
    let limits = [
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_PER_MINUTE", "30"),
    ];
    let server = installation.replica(&limits).await;
    let ada = server.sign_up("ada").await;
    let (normal, hidden) = (ada.session("normal").await, ada.session("incognito").await);
    ada.chat(&hidden, "Said in secret.").await;
    installation.redis.kill();

    let path = format!("/api/v1/chat/{hidden}");
    let refused = ada.post(&path, &json!({"message": "Hello?"})).await;
    refused.is_problem(503, "ephemeral_unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    let body = json!({"privacy_mode": "incognito"});
    let refused = ada.post("/api/v1/sessions", &body).await;
    refused.is_problem(503, "ephemeral_unavailable");
    ada.chat(&normal, "This goes on.").await;

    let ready = ada.get("/readyz").await.expect(StatusCode::OK);
    assert_eq!(ready["checks"]["redis"]["ok"], false, "{ready}");
    assert!(metric(&ada, "limits_counted_alone_total").await > 0);
    let mut last = StatusCode::OK;
    for _ in 0..40 {
        last = ada.get("/api/v1/auth/me").await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "limits are never off");

    // Another server starts although Redis is away, and uses it when it is back.
    let late = installation.replica(&[]).await;
    let ada = at(&ada, &late);
    installation.redis.start_again();
    until("Redis is back", async || {
        let made = ada.post("/api/v1/sessions", &body).await;
        made.status == StatusCode::CREATED
    })
    .await;
    let gone = ada.post(&path, &json!({"message": "Hello?"})).await;
    gone.is_problem(404, "session_not_found");
}
