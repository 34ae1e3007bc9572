//! A stand-in for an OpenAI-compatible service: it streams, it can be told to misbehave by words in the
//! question, and it remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::until;

/// A call, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Call {
    /// The words of the last message.
    pub(crate) fn question(&self) -> String {
        let messages = self.body["messages"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        messages
            .last()
            .and_then(|m| m["content"].as_str())
            .unwrap_or_default()
            .to_owned()
    }

    /// Is it an extraction, not a chat?
    pub(crate) fn is_extraction(&self) -> bool {
        self.body.get("response_format").is_some()
    }
}

/// The stand-in; it ends with the test's runtime.
pub(crate) struct ModelServer {
    pub(crate) base: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl ModelServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let base = format!("http://{}/v1", listener.local_addr().expect("address"));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&calls);
        #[expect(
            clippy::disallowed_methods,
            reason = "a test server ends with its test"
        )]
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let recorded = Arc::clone(&recorded);
                tokio::spawn(async move {
                    let _ = serve(socket, recorded).await;
                });
            }
        });
        Self { base, calls }
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("calls").clone()
    }

    /// Calls for an answer, extraction left out.
    pub(crate) fn chats(&self) -> Vec<Call> {
        self.calls()
            .into_iter()
            .filter(|c| c.path.ends_with("/chat/completions") && !c.is_extraction())
            .collect()
    }

    /// Waits until it was called so often for an answer.
    pub(crate) async fn wait_for_chats(&self, count: usize) {
        until("the model is asked", async || self.chats().len() >= count).await;
    }
}

async fn serve(socket: TcpStream, calls: Arc<Mutex<Vec<Call>>>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let mut first = String::new();
        if socket.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            socket.read_line(&mut line).await?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let call = Call {
            path,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let is_first = {
            let mut calls = calls.lock().expect("calls");
            calls.push(call.clone());
            calls.iter().filter(|c| c.body == call.body).count() == 1
        };
        if is_first && call.is_extraction() {
            tokio::time::sleep(delay(&call.question())).await;
        }
        answer(socket.get_mut(), &call).await?;
    }
}

/// How long the first extraction from a message takes.
fn delay(question: &str) -> Duration {
    if question.contains("[linger]") {
        Duration::from_hours(1)
    } else if question.contains("[dawdle]") {
        Duration::from_secs(3)
    } else {
        Duration::ZERO
    }
}

/// A vector per text: how many words of each length it has. `[poison]` is refused.
async fn embeddings(socket: &mut TcpStream, call: &Call) -> std::io::Result<()> {
    let texts = call.body["input"].as_array().cloned().unwrap_or_default();
    if call.body.to_string().contains("[poison]") {
        let error = json!({"error": {"message": "no", "code": "invalid_value"}});
        return whole(socket, 400, &error).await;
    }
    let vector = |(index, text): (usize, &Value)| {
        let mut numbers = [0.1_f32; 16];
        for word in text.as_str().unwrap_or_default().split_whitespace() {
            numbers[word.len() % 16] += 1.0;
        }
        json!({"object": "embedding", "index": index, "embedding": numbers})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(vector).collect();
    whole(
        socket,
        200,
        &json!({"object": "list", "model": "stand-in", "data": data}),
    )
    .await
}

async fn answer(socket: &mut TcpStream, call: &Call) -> std::io::Result<()> {
    if call.path.ends_with("/embeddings") {
        return embeddings(socket, call).await;
    }
    if !call.path.ends_with("/chat/completions") {
        return whole(socket, 200, &json!({"object": "list", "data": []})).await;
    }
    let question = call.question();
    if question.contains("[mute]") {
        return std::future::pending().await;
    }
    if question.contains("[429]") {
        return whole(
            socket,
            429,
            &json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
        )
        .await;
    }
    if question.contains("[401]") {
        return whole(
            socket,
            401,
            &json!({"error": {"message": "no", "code": "invalid_api_key"}}),
        )
        .await;
    }
    let reply = if call.is_extraction() {
        facts(&question)
    } else {
        format!("You said: {question}")
    };
    if call.body["stream"] != json!(true) {
        return whole(socket, 200, &completion(&reply)).await;
    }
    stream(socket, &reply, &question).await
}

async fn whole(socket: &mut TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await
}

fn completion(reply: &str) -> Value {
    json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "stand-in",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    })
}

/// One chunk per word. `[slow]` waits between words, `[hush]` for long before the fourth; `[cut]` breaks
/// off there.
async fn stream(socket: &mut TcpStream, reply: &str, question: &str) -> std::io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await?;
    let event = |delta: Value, finish: Value, usage: Value| {
        json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stand-in",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage
        })
    };
    for (n, word) in reply.split_inclusive(' ').enumerate() {
        if question.contains("[cut]") && n == 3 {
            return socket.shutdown().await;
        }
        if question.contains("[slow]") {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        if question.contains("[hush]") && n == 3 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        chunk(
            socket,
            &event(json!({"content": word}), Value::Null, Value::Null),
        )
        .await?;
    }
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12});
    chunk(socket, &event(json!({}), json!("stop"), usage)).await?;
    let done = "data: [DONE]\n\n";
    socket
        .write_all(format!("{:x}\r\n{done}\r\n0\r\n\r\n", done.len()).as_bytes())
        .await
}

async fn chunk(socket: &mut TcpStream, event: &Value) -> std::io::Result<()> {
    let data = format!("data: {event}\n\n");
    socket
        .write_all(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes())
        .await
}

/// Extraction as a model would do it: every statement with "my" or "I" in the message is a fact.
fn facts(question: &str) -> String {
    let document = question
        .trim()
        .trim_start_matches("<data>")
        .trim_end_matches("</data>");
    let document: Value = serde_json::from_str(document).expect("the extraction's document");
    let said = document["message"].as_str().expect("the message");
    let facts: Vec<Value> = said
        .split_inclusive(['.', '!', '?'])
        .map(str::trim)
        .filter(|s| {
            s.split(' ')
                .any(|w| w.eq_ignore_ascii_case("my") || w == "I")
                && !s.ends_with('?')
        })
        .map(|s| json!({"text": s, "quote": s}))
        .collect();
    json!({ "facts": facts }).to_string()
}
