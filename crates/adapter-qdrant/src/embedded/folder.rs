//! The folder: who uses it, and which collection serves.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::error::EdgeError;

/// Whoever has locked this file has the folder.
const LOCK: &str = "lock";
/// Holds the number of the collection that serves.
const SERVING: &str = "serving";
/// Collections are called so, with their number.
const PREFIX: &str = "memorychat-";

/// A folder that this process has for itself.
pub(crate) struct Folder {
    path: PathBuf,
    /// Gives the folder free when it is closed.
    _lock: File,
}

impl Folder {
    /// Makes the folder if there is none, and locks it.
    pub(crate) fn take(path: &Path) -> Result<Self, EdgeError> {
        fs::create_dir_all(path)?;
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true);
        let lock = lock.open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(EdgeError::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Where the collection of this number is.
    pub(crate) fn collection(&self, number: u64) -> PathBuf {
        self.path.join(format!("{PREFIX}{number}"))
    }

    /// The number of the collection that serves, if there is one.
    pub(crate) fn serving(&self) -> Result<Option<u64>, EdgeError> {
        let text = match fs::read_to_string(self.path.join(SERVING)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let number = text
            .trim()
            .parse()
            .map_err(|_| EdgeError::Damaged(SERVING))?;
        // Somebody may have thrown it away: it can be made again.
        Ok(self.collection(number).is_dir().then_some(number))
    }

    /// Makes this collection the one that serves, at once.
    pub(crate) fn serve(&self, number: u64) -> Result<(), EdgeError> {
        Ok(write(&self.path, SERVING, number.to_string().as_bytes())?)
    }

    /// The numbers of all collections.
    pub(crate) fn numbers(&self) -> Result<Vec<u64>, EdgeError> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        Ok(numbers)
    }

    /// Deletes a collection that nobody has open; one that is gone is no error.
    pub(crate) fn delete(&self, number: u64) -> Result<(), EdgeError> {
        match fs::remove_dir_all(self.collection(number)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Writes a small file whole or not at all, and waits for the disk.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    sync(folder)
}

/// Waits until the names in a folder are on the disk; Windows knows no such thing.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
