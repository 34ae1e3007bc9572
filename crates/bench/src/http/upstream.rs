//! A model service that answers at once: what is measured is everything but the model.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The words of every answer, a chunk each.
const ANSWER: &str = "That sounds lovely. I will keep it in mind for the next time we talk.";

/// The stand-in; it ends when it is dropped.
pub(super) struct Upstream {
    address: SocketAddr,
    _server: JoinSet<()>,
}

impl Upstream {
    /// Starts on a free port.
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut server = JoinSet::new();
        server.spawn(accept(listener));
        Ok(Self {
            address,
            _server: server,
        })
    }

    /// Base URL, as OpenAI-compatible services have it.
    pub(super) fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

async fn accept(listener: TcpListener) {
    let answer: &'static [u8] = streamed(ANSWER).leak();
    let no_facts: &'static [u8] = streamed(r#"{"facts":[]}"#).leak();
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        // A client that breaks off ends its connection only.
        connections.spawn(async move { drop(serve(socket, answer, no_facts).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, answer: &[u8], no_facts: &[u8]) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if socket.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(0);
                }
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        body.resize(length, 0);
        socket.read_exact(&mut body).await?;
        let extraction = String::from_utf8_lossy(&body).contains("\"response_format\"");
        socket
            .get_mut()
            .write_all(if extraction { no_facts } else { answer })
            .await?;
    }
}

/// A whole response as a stream of chunks, ready to be written.
fn streamed(text: &str) -> Vec<u8> {
    let mut response =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_owned();
    let mut chunk = |data: &str| {
        let event = format!("data: {data}\n\n");
        response.extend([format!("{:x}\r\n", event.len()), event, "\r\n".to_owned()]);
    };
    for word in text.split_inclusive(' ') {
        chunk(&event(
            &json!({"content": word}),
            &Value::Null,
            &Value::Null,
        ));
    }
    let usage = json!({"prompt_tokens": 50, "completion_tokens": 16, "total_tokens": 66});
    chunk(&event(&json!({}), &json!("stop"), &usage));
    chunk("[DONE]");
    response.push_str("0\r\n\r\n");
    response.into_bytes()
}

fn event(delta: &Value, finish: &Value, usage: &Value) -> String {
    json!({
        "id": "answer", "object": "chat.completion.chunk", "created": 1, "model": "stand-in",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage,
    })
    .to_string()
}
