//! Weights from the model hub.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::Progress;
use super::catalogue::{Entry, File};
use super::pull::SourceError;

/// Long enough for a slow line, short enough to move on to the next place.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest silence within a download.
const SILENCE: Duration = Duration::from_secs(30);

/// Downloads a model's files into a folder, checked.
pub(super) async fn fetch(
    hub: &str,
    entry: &Entry,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE)
        .build()
        .map_err(unreachable)?;
    for file in entry.files {
        let url = format!(
            "{}/{}/resolve/main/{}",
            hub.trim_end_matches('/'),
            entry.repository,
            file.name
        );
        progress.begin(file.name, Some(file.bytes));
        let done = download(&client, &url, file, &folder.join(file.name), progress).await;
        progress.end();
        done?;
    }
    Ok(())
}

async fn download(
    client: &reqwest::Client,
    url: &str,
    file: &File,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    let mut answer = client.get(url).send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        return Err(SourceError::Refused(answer.status().as_u16()));
    }
    let mut out = tokio::fs::File::create(path).await?;
    let mut sum = Sha256::new();
    let mut bytes = 0;
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        bytes += chunk.len() as u64;
        if bytes > file.bytes {
            break;
        }
        sum.update(&chunk);
        out.write_all(&chunk).await?;
        progress.advance(chunk.len() as u64);
    }
    out.sync_all().await?;
    if bytes != file.bytes || hex::encode(sum.finalize()) != file.sha256 {
        return Err(SourceError::WrongChecksum { file: file.name });
    }
    Ok(())
}

/// The address stays out of the error: it may hold a mirror's password.
fn unreachable(error: reqwest::Error) -> SourceError {
    SourceError::Unreachable(error.without_url())
}
