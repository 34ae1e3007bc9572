//! A connection pooler before a throw-away Postgres, as hosting services put one there.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::servers::{Postgres, as_nobody, free_port, new_folder, variable};

/// What a client keeps of its server's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// All of it, as long as the client is connected.
    Session,
    /// Nothing: each transaction may run in another one.
    Transaction,
}

/// A running PgBouncer; stopped and removed when dropped.
pub struct PgBouncer {
    url: String,
    folder: PathBuf,
    process: Child,
}

impl PgBouncer {
    /// Puts a pooler with a few server connections before a Postgres. Where the program is missing it
    /// prints so, and panics if `CI` is set.
    pub fn before(postgres: &Postgres, pooling: Pooling) -> Option<Self> {
        if !PathBuf::from(PROGRAM).is_file() {
            assert!(
                variable("CI").is_none(),
                "PgBouncer is needed, and is not on this machine: install pgbouncer"
            );
            println!("left out: no PgBouncer on this machine; install pgbouncer");
            return None;
        }
        let (folder, port) = (new_folder(), free_port());
        let server = postgres.port();
        let mode = match pooling {
            Pooling::Session => "session",
            Pooling::Transaction => "transaction",
        };
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = 16\nmax_client_conn = 200\nunix_socket_dir =\n\
             ignore_startup_parameters = extra_float_digits\nlogfile = {folder}/log\n",
            folder = folder.display(),
        );
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let process = as_nobody(PROGRAM.into(), &folder)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "PgBouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let url = postgres
            .url()
            .replace(&format!(":{server}/"), &format!(":{port}/"));
        Some(Self {
            url,
            folder,
            process,
        })
    }

    /// The address of the database behind it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        let removed = fs::remove_dir_all(&self.folder);
        if ended.is_err() || removed.is_err() {
            println!("could not stop PgBouncer in {}", self.folder.display());
        }
    }
}

/// Where Debian puts it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
