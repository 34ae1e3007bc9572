//! The weights: what there is, what is here, and how to get the rest.

mod catalogue;
mod hub;
mod package;
mod progress;
mod pull;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use catalogue::ModelId;
pub use progress::{Progress, TerminalProgress};
pub use pull::{PullError, Pulled, SourceError};

use catalogue::Entry;

/// The models folder, and the places weights come from.
#[derive(Debug, Clone)]
pub struct Models {
    folder: PathBuf,
    hub_url: String,
    python: PathBuf,
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Is it there, with that size?
    pub present: bool,
}

/// A model, and whether it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelState {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// Its files.
    pub files: Vec<ModelFile>,
    /// Their size together.
    pub bytes: u64,
    /// Are all of them there?
    pub present: bool,
}

impl Models {
    /// Weights in this folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            hub_url: "https://huggingface.co".to_owned(),
            python: PathBuf::from("python3"),
        }
    }

    /// Takes weights from a mirror of the model hub.
    #[must_use]
    pub fn with_hub_url(mut self, url: impl Into<String>) -> Self {
        self.hub_url = url.into();
        self
    }

    /// Runs another Python for `pip download`.
    #[must_use]
    pub fn with_python(mut self, program: impl Into<PathBuf>) -> Self {
        self.python = program.into();
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All models, and whether they are here.
    pub fn list(&self) -> Vec<ModelState> {
        ModelId::ALL
            .into_iter()
            .map(|which| self.state(which))
            .collect()
    }

    /// One model, and whether it is here. Sizes are compared, not checksums: those were checked when
    /// the files came in.
    pub fn state(&self, which: ModelId) -> ModelState {
        self.state_of(which.entry())
    }

    /// Where a model's files are, in the catalogue's order; `None` unless all of them are there.
    pub(crate) fn files(&self, which: ModelId) -> Option<Vec<PathBuf>> {
        let state = self.state(which);
        state
            .present
            .then(|| state.files.into_iter().map(|file| file.path).collect())
    }

    fn state_of(&self, entry: &Entry) -> ModelState {
        let files: Vec<ModelFile> = entry
            .files
            .iter()
            .map(|file| {
                let path = self.folder.join(entry.name).join(file.name);
                let present = path
                    .metadata()
                    .is_ok_and(|m| m.is_file() && m.len() == file.bytes);
                ModelFile {
                    path,
                    bytes: file.bytes,
                    present,
                }
            })
            .collect();
        ModelState {
            name: entry.name,
            purpose: entry.purpose,
            licence: entry.licence,
            bytes: files.iter().map(|file| file.bytes).sum(),
            present: files.iter().all(|file| file.present),
            files,
        }
    }
}
