//! What is left behind: every byte of the data folder and of the log.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use serde_json::json;

use crate::harness::Server;
use crate::model_server::{Call, ModelServer};

const CANARY: &str = "zyxwv-canary-4711-qponm";

/// The canary in the forms in which it could lie around.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let utf16 = |swap: bool| -> Vec<u8> {
        let order = |u: u16| {
            if swap {
                u.to_be_bytes()
            } else {
                u.to_le_bytes()
            }
        };
        canary.encode_utf16().flat_map(order).collect()
    };
    let hex: String = canary
        .bytes()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|n| char::from(b"0123456789abcdef"[usize::from(n)]))
        .collect();
    let mut forms = vec![
        canary.as_bytes().to_vec(),
        utf16(false),
        utf16(true),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        canary.replace('-', "%2D").into_bytes(),
    ];
    // Base64 at its three alignments, without the characters that depend on the neighbours.
    for shift in 0..3 {
        let padded = [&b"\0\0"[..shift], canary.as_bytes()].concat();
        let text = base64(&padded);
        forms.push(text.as_bytes()[4..text.len() - 4].to_vec());
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |n, b| (n << 8) | u32::from(*b))
                << (8 * (3 - chunk.len()));
            (0..4).map(move |i| char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63]))
        })
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .expect("folder")
        .map(|e| e.expect("entry").path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Where the canary lies.
fn finds(server: &Server, canary: &str) -> Vec<String> {
    let mut found = Vec::new();
    let database = server.postgres.as_ref().map(|postgres| postgres.folder());
    let mut places: Vec<(String, Vec<u8>)> = files(server.data.path())
        .into_iter()
        .chain(database.map(files).unwrap_or_default())
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read(&path).expect("file"),
            )
        })
        .collect();
    places.push(("log".to_owned(), server.log()));
    for (place, bytes) in places {
        for form in forms(canary) {
            if bytes.windows(form.len()).any(|window| window == form) {
                found.push(place.clone());
                break;
            }
        }
    }
    found
}

async fn traced(model: &ModelServer) -> Server {
    Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("LOG_LEVEL", "trace"),
    ])
    .await
}

#[tokio::test]
async fn incognito_leaves_nothing_on_disk_and_nothing_in_the_log() {
    let model = ModelServer::start().await;
    let mut server = traced(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("incognito").await;
    ada.chat(&session, &format!("My secret word is {CANARY}."))
        .await;
    let again = ada.chat(&session, "What did I say?").await;
    assert_eq!(
        (&again["memories_used"], &again["memories_extracted"]),
        (&json!(0), &json!(false))
    );
    let path = format!("/api/v1/chat/{session}/stream");
    ada.post(
        &path,
        &json!({"message": format!("[cut] one two three four {CANARY}")}),
    )
    .await;
    ada.post(&path, &json!({"message": format!("[429] {CANARY}")}))
        .await;
    let too_long = format!("{CANARY}{}", "x".repeat(10_001));
    ada.post(&path, &json!({"message": too_long}))
        .await
        .is_problem(422, "validation_failed");
    ada.post(&path, &json!({"message": 1, CANARY: CANARY}))
        .await;

    // The conversation goes on, from memory alone.
    let seen = model
        .chats()
        .iter()
        .any(|c| c.body.to_string().contains(CANARY) && c.question() == "What did I say?");
    assert!(seen, "the model sees the earlier ephemeral turn");
    assert_eq!(
        finds(&server, CANARY),
        Vec::<String>::new(),
        "while it runs"
    );
    assert!(server.stop(), "it stops well");
    assert_eq!(
        finds(&server, CANARY),
        Vec::<String>::new(),
        "after it has stopped"
    );
    assert!(!server.log().is_empty(), "there is a log");
}

#[tokio::test]
async fn normal_mode_is_found_on_disk_but_never_in_the_log() {
    let model = ModelServer::start().await;
    let mut server = traced(&model).await;
    let ada = server.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    ada.chat(&session, &format!("My secret word is {CANARY}."))
        .await;
    ada.wait_for_memories(&profile, 1).await;
    ada.post(
        &format!("/api/v1/memory-profiles/{profile}/memories/search"),
        &json!({"query": CANARY}),
    )
    .await;
    ada.post(
        &format!("/api/v1/memory-profiles/{profile}/memories"),
        &json!({"content": format!("I {CANARY}")}),
    )
    .await;
    ada.post(
        &format!("/api/v1/chat/{session}"),
        &json!({"message": format!("[429] {CANARY}")}),
    )
    .await;
    assert!(server.stop());
    let found = finds(&server, CANARY);
    assert!(
        found
            .iter()
            .any(|place| place.contains("memorychat.db") || place.contains("/base/")),
        "the control: {found:?}"
    );
    assert!(!found.contains(&"log".to_owned()), "{found:?}");
}

#[tokio::test]
async fn passwords_and_tokens_are_neither_stored_nor_logged() {
    let model = ModelServer::start().await;
    let mut server = traced(&model).await;
    let ada = server.sign_up("ada").await;
    ada.get("/api/v1/auth/me").await.expect(StatusCode::OK);
    let token = ada.token.clone().expect("token");
    assert!(server.stop());
    for secret in ["correct horse battery", &token] {
        assert_eq!(finds(&server, secret), Vec::<String>::new());
    }
    let log = String::from_utf8_lossy(&server.log()).into_owned();
    assert!(
        !log.contains("ada@example.org"),
        "addresses are no log matter"
    );
}

#[tokio::test]
async fn an_incognito_turn_makes_one_call_and_it_is_the_models() {
    let model = ModelServer::start().await;
    let server = Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("LOG_LEVEL", "trace"),
    ])
    .await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("incognito").await;
    let before = model.calls().len();
    ada.chat(&session, "My dog is called Rex.").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let calls = model.calls().split_off(before);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].path.ends_with("/chat/completions") && !calls[0].is_extraction());
    for field in ["user", "metadata", "prompt_cache_key", "safety_identifier"] {
        assert!(
            calls[0].body.get(field).is_none(),
            "{field} would name the person"
        );
    }
}

/// Every row of a table, whatever its columns.
async fn rows(server: &Server, table: &str) -> Vec<String> {
    let sql = match &server.postgres {
        Some(_) => format!("select t::text as line from mc.{table} t order by 1"),
        None => format!(
            "select {} as line from {table} order by 1",
            quoted(server, table).await
        ),
    };
    query(server, &sql, "line").await
}

/// The columns of a table of SQLite, as one text.
async fn quoted(server: &Server, table: &str) -> String {
    let columns = format!("select name from pragma_table_info('{table}')");
    let columns = query(server, &columns, "name").await;
    assert!(!columns.is_empty(), "no table {table}");
    let quoted: Vec<_> = columns
        .iter()
        .map(|name| format!("quote(\"{name}\")"))
        .collect();
    quoted.join(" || '|' || ")
}

/// The whole index, wherever it is.
async fn index(server: &Server) -> Vec<String> {
    let folder = server.data.path().join("qdrant");
    match &server.qdrant {
        Some(qdrant) => qdrant.dump(),
        None if folder.is_dir() => contents(&folder),
        None => rows(server, "memory_vectors").await,
    }
}

/// The files of Qdrant's engine: where each is, and a hash of its bytes.
fn contents(folder: &Path) -> Vec<String> {
    let hashed = |path: PathBuf| {
        let mut hasher = DefaultHasher::new();
        std::fs::read(&path).expect("file").hash(&mut hasher);
        format!("{} {:x}", path.display(), hasher.finish())
    };
    let mut contents: Vec<_> = files(folder).into_iter().map(hashed).collect();
    contents.sort();
    contents
}

async fn query(server: &Server, sql: &str, column: &str) -> Vec<String> {
    use sea_orm::{ConnectionTrait, Database, Statement};
    let file = server.data.path().join("memorychat.db");
    let sqlite = format!("sqlite://{}?mode=ro", file.display());
    let postgres = server.postgres.as_ref();
    let url = postgres.map_or(sqlite, |postgres| postgres.url().to_owned());
    let db = Database::connect(url).await.expect("database");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.expect("rows");
    rows.iter()
        .map(|row| row.try_get("", column).expect("text"))
        .collect()
}

#[tokio::test]
async fn a_paused_turn_changes_no_memory_and_no_index_row() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    ada.chat(&session, "My dog is called Rex.").await;
    ada.wait_for_memories(&profile, 1).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;

    let tables = ["memories", "outbox"];
    let index_before = index(&server).await;
    let mut before = Vec::new();
    for table in tables {
        before.push(rows(&server, table).await);
    }
    assert!(
        !before[0].is_empty() && !index_before.is_empty(),
        "there is something to compare"
    );
    let paused = ada.session("pause_memories").await;
    let answer = ada
        .chat(&paused, "My cat is called Tom. What is my dog called?")
        .await;
    assert_ne!(answer["memories_used"], 0, "it still recalls");
    assert_eq!(answer["memories_extracted"], false);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    for (table, before) in tables.iter().zip(before) {
        assert_eq!(rows(&server, table).await, before, "{table}");
    }
    assert_eq!(index(&server).await, index_before);

    // Resumed, the paused words stay out of every extraction, as context too.
    ada.patch(
        &format!("/api/v1/sessions/{paused}"),
        &json!({"privacy_mode": "normal"}),
    )
    .await
    .expect(StatusCode::OK);
    ada.chat(&paused, "My parrot is called Kiwi.").await;
    ada.wait_for_memories(&profile, 2).await;
    let extractions: Vec<_> = model
        .calls()
        .into_iter()
        .filter(Call::is_extraction)
        .collect();
    assert!(
        extractions
            .iter()
            .any(|c| c.body.to_string().contains("Kiwi")),
        "the control"
    );
    assert!(
        !extractions
            .iter()
            .any(|c| c.body.to_string().contains("Tom")),
        "paused words reached an extraction"
    );
}

#[tokio::test]
async fn leaving_incognito_drops_the_ephemeral_turns() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/sessions/{session}");
    ada.chat(&session, "Hello there").await;
    ada.patch(&path, &json!({"privacy_mode": "incognito"}))
        .await
        .expect(StatusCode::OK);
    ada.chat(&session, &format!("My secret is {CANARY}")).await;
    let listed = ada.get(&format!("{path}/messages")).await;
    assert!(listed.text.contains("Hello there") && !listed.text.contains(CANARY));
    ada.patch(&path, &json!({"privacy_mode": "normal"}))
        .await
        .expect(StatusCode::OK);
    ada.chat(&session, "And now?").await;
    let last = model.chats().pop().expect("a call");
    assert!(
        !last.body.to_string().contains(CANARY),
        "shown to the model again"
    );
    assert!(
        last.body.to_string().contains("Hello there"),
        "stored history stays"
    );
    assert_eq!(finds(&server, CANARY), Vec::<String>::new());
}
