//! Servers that a test starts itself and throws away.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::certificates::ServerCertificate;
use crate::newer_postgres;

/// A Postgres of the test's own; stopped and removed when dropped. Give each case a database of its own.
pub struct Postgres {
    url: String,
    server: Option<Server>,
}

/// A running server and where its binaries are.
struct Server {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    speaks_tls: bool,
}

impl Postgres {
    /// The server named by `TEST_DATABASE_URL`, or a new one from the binaries of this machine. Where
    /// there is neither it prints so, and panics if `CI` is set: a gate must not skip silently.
    pub fn start() -> Option<Self> {
        if let Some(url) = variable("TEST_DATABASE_URL") {
            return Some(Self { url, server: None });
        }
        Self::new()
    }

    /// The server of [`start`](Self::start), and one of a newer version, which treats roles otherwise: for
    /// a test of who may do what.
    pub fn each() -> Vec<Self> {
        [Self::start(), Self::newer()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// A new server of a newer version than Debian's. Where it cannot be had it prints so, and panics if
    /// `CI` is set.
    pub fn newer() -> Option<Self> {
        let newer = newer_postgres::folder()?;
        let folder = new_folder();
        // Whoever the server runs as may not be allowed to look into the target folder.
        let copy = folder.join("postgres");
        run(Command::new("cp").arg("-a").args([newer, &copy]));
        Some(Self::launch(copy.join("bin"), folder, None))
    }

    /// A new server, whatever is set: for a test that stops it or looks into its folder.
    pub fn new() -> Option<Self> {
        Self::of_this_machine(None)
    }

    /// A new server that speaks TLS with whoever asks for it, and shows this certificate.
    pub fn with_tls(certificate: &ServerCertificate) -> Option<Self> {
        Self::of_this_machine(Some(certificate))
    }

    fn of_this_machine(certificate: Option<&ServerCertificate>) -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(
                variable("CI").is_none(),
                "Postgres is needed, and is not on this machine"
            );
            println!("left out: no Postgres on this machine; set TEST_DATABASE_URL or install one");
            return None;
        };
        Some(Self::launch(binaries, new_folder(), certificate))
    }

    fn launch(binaries: PathBuf, folder: PathBuf, certificate: Option<&ServerCertificate>) -> Self {
        let port = free_port();
        let server = Server {
            binaries,
            folder,
            port,
            speaks_tls: certificate.is_some(),
        };
        server.make_cluster();
        if let Some(certificate) = certificate {
            server.show(certificate);
        }
        server.start();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        Self {
            url,
            server: Some(server),
        }
    }

    /// Ends it as a crash does: what was acknowledged is in its log, nothing is tidied up.
    pub fn crash(&self) {
        self.own().stop("immediate");
    }

    /// Starts it again after a [`crash`](Self::crash), at the same address.
    pub fn restart(&self) {
        self.own().start();
    }

    /// Shows another certificate from now on; only for a server that speaks TLS.
    pub fn present(&self, certificate: &ServerCertificate) {
        self.crash();
        self.own().show(certificate);
        self.restart();
    }

    /// A standby that follows this server for as long as both run. It stops following by a
    /// [`crash`](Self::crash), and takes over by a [`restart`](Self::restart) and [`promote`](Self::promote).
    #[must_use]
    pub fn standby(&self) -> Self {
        let primary = self.own();
        let server = Server {
            binaries: primary.binaries.clone(),
            folder: new_folder(),
            port: free_port(),
            speaks_tls: false,
        };
        let mut copy = server.command("pg_basebackup");
        let port = primary.port.to_string();
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port]);
        run(copy
            .args(["-R", "-c", "fast", "--no-sync", "-D"])
            .arg(server.data()));
        server.start();
        Self {
            url: self
                .url
                .replace(&format!(":{port}/"), &format!(":{}/", server.port)),
            server: Some(server),
        }
    }

    /// Makes a standby a server that takes writes, with what it has.
    pub fn promote(&self) {
        let mut promote = self.own().command("pg_ctl");
        run(promote
            .arg("-D")
            .arg(self.own().data())
            .args(["-w", "-s", "promote"]));
    }

    /// Every file that holds what was stored, brought up to date first.
    pub fn folder(&self) -> &Path {
        self.run("checkpoint");
        &self.own().folder
    }

    /// Runs a statement as its owner.
    pub fn run(&self, sql: &str) {
        let mut psql = self.own().command("psql");
        run(psql.args([self.url.as_str(), "-qc", sql]));
    }

    fn own(&self) -> &Server {
        self.server.as_ref().expect("a server of this test's own")
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        let place = self.url.rsplit_once('/').unwrap().0;
        place.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// The address of another database on it, which must be made first.
    pub fn database_url(&self, database: &str) -> String {
        let (server, rest) = self.url.rsplit_once('/').unwrap();
        let options = rest.find('?').map_or("", |at| &rest[at..]);
        format!("{server}/{database}{options}")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(server) = &self.server else { return };
        // A test may have stopped it already.
        server.stop("immediate");
        if fs::remove_dir_all(&server.folder).is_err() {
            println!(
                "could not remove the Postgres in {}",
                server.folder.display()
            );
        }
    }
}

impl Server {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn make_cluster(&self) {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data());
        run(initdb
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
            .args(["--no-locale", "--no-sync"]));
    }

    fn start(&self) {
        let port = self.port;
        // Nothing here outlives the test, so nothing needs to be safe on disk.
        let tls = if self.speaks_tls { "-c ssl=on" } else { "" };
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
             -c full_page_writes=off -c shared_buffers=32MB \
             -c max_connections=200 {tls}"
        );
        let mut start = self.command("pg_ctl");
        start
            .arg("-D")
            .arg(self.data())
            .args(["-w", "-s", "-o", &settings]);
        run(start.arg("-l").arg(self.folder.join("log")).arg("start"));
    }

    /// Puts a certificate where the server looks for it; the key is its own secret.
    fn show(&self, certificate: &ServerCertificate) {
        let place = |name: &str, pem: &str| {
            let file = self.data().join(name);
            fs::write(&file, pem).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            give_away(&file);
        };
        place("server.crt", &certificate.certificate);
        place("server.key", &certificate.key);
    }

    fn stop(&self, mode: &str) -> bool {
        let mut stop = self.command("pg_ctl");
        stop.arg("-D")
            .arg(self.data())
            .args(["-m", mode, "-s", "stop"]);
        stop.status().is_ok_and(|status| status.success())
    }

    fn command(&self, name: &str) -> Command {
        as_nobody(self.binaries.join(name), &self.folder)
    }
}

/// A command in a folder of its own. Servers of databases refuse to run as root, so that is given up.
pub(crate) fn as_nobody(program: PathBuf, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("LC_ALL", "C");
    command
}

/// The newest version in Debian's folders, else what is on the path.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .max();
    let path = variable_os("PATH").unwrap_or_default();
    let on_path = || std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file());
    newest.map(|(_, folder)| folder).or_else(on_path)
}

pub(crate) fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("memorychat-pg-{}-{n}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    give_away(&folder);
    folder
}

/// To whom the server runs as, where that is not whoever runs the test.
fn give_away(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("nobody:nogroup").arg(path));
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).is_ok_and(|me| me.uid() == 0)
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(crate) fn run(command: &mut Command) {
    // A server that keeps a pipe of ours open would keep the test from ending.
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?} failed");
}

pub(crate) fn variable(name: &str) -> Option<String> {
    variable_os(name)
        .and_then(|value| value.into_string().ok())
        .filter(|value| !value.is_empty())
}

fn variable_os(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
