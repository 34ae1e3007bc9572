//! `memorychat health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::say;
use crate::settings::Settings;

/// Longer than `/readyz` waits for the slowest dependency.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the server of these settings whether it is ready, as an image without any other HTTP client
/// needs it for its health check.
pub(super) async fn check(settings: &Settings) -> Result<()> {
    let address = reachable(settings.api.host, settings.api.port);
    let answer = timeout(PATIENCE, ask(address))
        .await
        .with_context(|| format!("{address} does not answer in time"))?
        .with_context(|| format!("{address} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        bail!("{address} is not ready: {body}");
    }
    say(body);
    Ok(())
}

/// A server that listens everywhere is asked here.
fn reachable(host: IpAddr, port: u16) -> SocketAddr {
    let host = match host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, port)
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Ok(answer)
}
