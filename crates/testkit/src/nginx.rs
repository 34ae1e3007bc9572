//! The proxy of `deploy/nginx.conf` before two servers of a test.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::servers::{as_nobody, free_port, new_folder, variable};

/// The file, as it is deployed.
const CONFIG: &str = include_str!("../../../deploy/nginx.conf");

/// Where Debian puts it.
const PROGRAM: &str = "/usr/sbin/nginx";

/// A running nginx; stopped and removed when dropped.
pub struct Nginx {
    base: String,
    folder: PathBuf,
    process: Child,
}

impl Nginx {
    /// Starts it before the servers at two ports of this machine: nothing but addresses differs from the
    /// deployed file. Where the program is missing it prints so, and panics if `CI` is set.
    pub fn before(one: u16, two: u16) -> Option<Self> {
        if !PathBuf::from(PROGRAM).is_file() {
            assert!(
                variable("CI").is_none(),
                "nginx is needed, and is not on this machine: install nginx"
            );
            println!("left out: no nginx on this machine; install nginx");
            return None;
        }
        let (folder, port) = (new_folder(), free_port());
        let file = folder.join("nginx.conf");
        fs::write(&file, here(&folder.display().to_string(), port, one, two)).unwrap();
        let process = as_nobody(PROGRAM.into(), &folder)
            .args(["-g", "daemon off;", "-e", "stderr", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self {
            base: format!("http://127.0.0.1:{port}"),
            folder,
            process,
        })
    }

    /// Its address.
    pub fn base(&self) -> &str {
        &self.base
    }
}

/// The deployed file with addresses of this machine, and files in a folder of the test.
fn here(folder: &str, port: u16, one: u16, two: u16) -> String {
    let places = [
        ("server one:8000", format!("server 127.0.0.1:{one}")),
        ("server two:8000", format!("server 127.0.0.1:{two}")),
        ("listen 8080", format!("listen 127.0.0.1:{port}")),
        ("pid /tmp", format!("pid {folder}")),
        ("worker_processes auto", "worker_processes 1".to_owned()),
        (
            "http {",
            format!(
                "http {{\n    client_body_temp_path {folder}/body;\n    proxy_temp_path {folder}/proxy;\n    \
                 fastcgi_temp_path {folder}/f;\n    uwsgi_temp_path {folder}/u;\n    scgi_temp_path {folder}/s;"
            ),
        ),
    ];
    places.iter().fold(CONFIG.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from} in deploy/nginx.conf");
        text.replace(from, to)
    })
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked, and not killed: its worker is another process.
        let pid = self.process.id().to_string();
        let asked = std::process::Command::new("kill").arg(&pid).status();
        let ended = asked.and_then(|_| self.process.wait());
        let removed = fs::remove_dir_all(&self.folder);
        if ended.is_err() || removed.is_err() {
            println!("could not stop nginx in {}", self.folder.display());
        }
    }
}
