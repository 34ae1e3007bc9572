//! A service on a bare socket, for what no HTTP library would do: to stop in the middle.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What becomes of a connection after the body so far.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// The body ends as it should.
    End,
    /// The connection closes within a chunk.
    Cut,
    /// Nothing more comes until the client hangs up.
    Hang,
}

/// Answers each call with an event stream in these pieces.
pub(crate) struct RawService {
    pub(crate) base_url: String,
    calls: Arc<AtomicUsize>,
    hung_up: Arc<AtomicUsize>,
}

impl RawService {
    pub(crate) fn start(pieces: Vec<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (calls, hung_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let service = Self {
            base_url,
            calls: calls.clone(),
            hung_up: hung_up.clone(),
        };
        thread::spawn(move || {
            for connection in listener.incoming() {
                calls.fetch_add(1, Ordering::SeqCst);
                let (pieces, hung_up) = (pieces.clone(), hung_up.clone());
                thread::spawn(move || {
                    // A client that is gone early is what some tests are about.
                    let _ = serve(connection.unwrap(), &pieces, then);
                    hung_up.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        service
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many connections are over.
    pub(crate) fn hung_up(&self) -> usize {
        self.hung_up.load(Ordering::SeqCst)
    }
}

fn serve(mut socket: TcpStream, pieces: &[Vec<u8>], then: Then) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    read_request(&mut socket)?;
    socket.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    for piece in pieces {
        socket.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        socket.write_all(piece)?;
        socket.write_all(b"\r\n")?;
    }
    match then {
        Then::End => socket.write_all(b"0\r\n\r\n"),
        Then::Cut => socket.write_all(b"ff\r\ndata: {\"choi"),
        Then::Hang => socket.read(&mut [0]).map(drop),
    }
}

/// Reads a head, and a body of the length it tells.
fn read_request(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |text| text.trim().parse().unwrap());
    socket.read_exact(&mut vec![0; length])
}
