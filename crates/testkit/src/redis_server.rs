//! A Redis that a test starts itself and throws away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What a Redis of the tests is started with: nothing of it ever lies on a disk.
pub const IN_MEMORY: [&str; 4] = ["--save", "", "--appendonly", "no"];

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis of the test's own; gone when dropped.
pub struct Redis {
    port: u16,
    arguments: Vec<String>,
    server: Option<Child>,
}

impl Redis {
    /// A new Redis from the binary of this machine. Where there is none it prints so, and panics if
    /// `CI` is set: a gate must not skip silently.
    pub fn start() -> Option<Self> {
        Self::start_with(&IN_MEMORY)
    }

    /// The address named by `TEST_REDIS_URL`, else that of a new Redis, which lives as long as the
    /// second value. Give each case keys of its own: see [`fresh_prefix`].
    pub fn shared() -> Option<(String, Option<Self>)> {
        let named = std::env::var_os("TEST_REDIS_URL").and_then(|url| url.into_string().ok());
        if let Some(url) = named.filter(|url| !url.is_empty()) {
            return Some((url, None));
        }
        let redis = Self::start()?;
        Some((redis.url(), Some(redis)))
    }

    /// A new Redis with these arguments.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let there = Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if there.is_err() {
            assert!(
                std::env::var_os("CI").is_none_or(|value| value.is_empty()),
                "Redis is needed, and is not on this machine; install redis-server"
            );
            println!("left out: no Redis on this machine; set TEST_REDIS_URL or install one");
            return None;
        }
        let mut redis = Self {
            port: free_port(),
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            server: None,
        };
        redis.start_again();
        Some(redis)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `kill -9`, with everything in it.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts on the same port after [`Self::kill`], empty.
    pub fn start_again(&mut self) {
        let server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--dir", &std::env::temp_dir().display().to_string()])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.server = Some(server);
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < PATIENCE, "Redis does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets it accept connections and answer nothing, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Sends one command of plain words and returns the first bytes of the answer.
    pub fn command(&self, words: &str) -> std::io::Result<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(format!("{words}\r\n").as_bytes())?;
        let mut answer = vec![0; 65536];
        let bytes = socket.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..bytes]).into_owned())
    }

    fn answers(&self) -> bool {
        // A Redis that asks for a password answers too.
        self.command("PING")
            .is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH"))
    }

    fn signal(&self, signal: &str) {
        let server = self.server.as_ref().unwrap();
        let id = server.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the keys of one case begin with, so that cases share nothing on one Redis.
pub fn fresh_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{n}", std::process::id())
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
