//! What is measured runs in processes of its own: this program again, in another role.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, error::ErrorBadGateway};
use anyhow::{Context, Result, anyhow};
use memorychat::settings::Settings;
use memorychat::{cli, commands, telemetry};

use super::database::Database;
use crate::machine;

/// A running child; it is killed when this is dropped.
pub(super) struct Child {
    process: std::process::Child,
    /// `http://address:port`.
    pub(super) base: String,
}

impl Child {
    /// The real server on a database and a fresh data folder.
    pub(super) async fn server(database: &Database, models: &Path, upstream: &str) -> Result<Self> {
        let mut command = role("serve")?;
        let data = database.folder();
        command
            .current_dir(data)
            .envs(database.environment())
            .env("MEMORYCHAT_DATA_DIR", data)
            .env("MEMORYCHAT_MODELS_DIR", models)
            .env("MEMORYCHAT_MODELS_PULL", "false")
            .env("MEMORYCHAT_PORT", "0")
            .env("RATE_LIMIT_ENABLED", "false")
            .env("OPENAI_BASE_URL", upstream);
        Self::start(command).await
    }

    /// The pass-through.
    pub(super) async fn relay(upstream: &str) -> Result<Self> {
        let mut command = role("relay")?;
        command.arg(upstream);
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Result<Self> {
        let mut process = command.spawn()?;
        let out = process.stdout.take().context("no output of a child")?;
        let mut child = Self {
            process,
            base: String::new(),
        };
        let listening = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            let line = lines.find(|line| line.contains(" listens on "));
            // Somebody must read on, or the child would wait for that.
            std::thread::spawn(move || lines.for_each(drop));
            line
        });
        let line = tokio::time::timeout(Duration::from_mins(1), listening).await??;
        let line = line.context("a child did not start; run it by itself to see why")?;
        line.rsplit(' ')
            .next()
            .unwrap_or_default()
            .clone_into(&mut child.base);
        Ok(child)
    }

    /// CPU time so far, in milliseconds.
    pub(super) fn cpu_millis(&self) -> f64 {
        machine::cpu_millis(self.process.id()).unwrap_or(f64::NAN)
    }

    /// Memory in MB: at present, and at its highest.
    pub(super) fn resident_megabytes(&self) -> (f64, f64) {
        machine::resident_megabytes(self.process.id()).unwrap_or((f64::NAN, f64::NAN))
    }

    /// Waits until the background work is done: at most a minute, until the CPU is quiet.
    pub(super) async fn settle(&self) {
        for _ in 0..240 {
            let before = self.cpu_millis();
            tokio::time::sleep(Duration::from_millis(250)).await;
            if self.cpu_millis() - before < 5.0 {
                return;
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program in another role, with nothing of the surroundings in its settings.
fn role(name: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(name)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Ok(command)
}

/// The server, as `memorychat serve` runs it.
pub(crate) async fn serve() -> Result<()> {
    let settings = Settings::load(None).map_err(|mistakes| anyhow!(mistakes.join("\n")))?;
    let _log = telemetry::start(&settings)?;
    commands::run(cli::Command::Serve, settings).await
}

/// A bare pass-through, of the same libraries as the server: takes a call, makes the same call
/// upstream, hands the stream through.
pub(crate) async fn relay(upstream: String) -> Result<()> {
    let to = Data::new((reqwest::Client::new(), upstream));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(to.clone())
            .default_service(web::to(pass))
    })
    // Else small chunks wait for each other's acknowledgement.
    .tcp_nodelay(true)
    .bind(("127.0.0.1", 0))?;
    for address in server.addrs() {
        println!("the pass-through listens on http://{address}");
    }
    Ok(server.run().await?)
}

async fn pass(
    call: HttpRequest,
    body: Bytes,
    to: Data<(reqwest::Client, String)>,
) -> Result<HttpResponse, actix_web::Error> {
    let (client, upstream) = to.get_ref();
    let request = client
        .post(format!("{upstream}{}", call.path()))
        .header("content-type", "application/json");
    let answer = request.body(body).send().await.map_err(ErrorBadGateway)?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(answer.bytes_stream()))
}
