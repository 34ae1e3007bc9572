//! As much of HTTP/1.1 as the stand-in needs. It is written by hand because a fault must be able to
//! do what no server library lets one do: answer nothing, or cut the line after the work is done.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The longest body that is taken, as upstream.
const MAX_BODY: usize = 1 << 20;

/// One call as it came in.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, below that of the service.
    pub path: String,
    /// What stands behind the question mark.
    pub query: BTreeMap<String, String>,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body; `Null` when there is none or it is no JSON.
    pub body: Value,
    /// How many bytes of body there were.
    pub length: usize,
}

impl Call {
    /// A header's value; empty when it was not sent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A text of the body; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization").strip_prefix("Bearer ")
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub(super) fn html(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/html".to_owned())],
            body: body.to_owned(),
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answers calls until the other side hangs up, or `answer` says `None`: then the line is cut.
pub(super) async fn serve<Fut: Future<Output = Option<Answer>>>(
    socket: TcpStream,
    answer: impl Fn(Call) -> Fut,
) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    while let Some(call) = read(&mut socket).await? {
        let Some(answer) = answer(call).await else {
            return socket.get_mut().shutdown().await;
        };
        write(socket.get_mut(), &answer).await?;
    }
    Ok(())
}

async fn read(socket: &mut BufReader<TcpStream>) -> io::Result<Option<Call>> {
    let mut first = String::new();
    if socket.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let announced = headers.get("content-length");
    let length = announced.and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; Ord::min(length, MAX_BODY)];
    socket.read_exact(&mut body).await?;
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Call {
        method,
        path: path.to_owned(),
        query: query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        length,
    }))
}

async fn write(socket: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} -\r\n", answer.status);
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if answer.status != 204 {
        let _ = write!(head, "content-length: {}\r\n", answer.body.len());
    }
    head += "\r\n";
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(answer.body.as_bytes()).await?;
    socket.flush().await
}
