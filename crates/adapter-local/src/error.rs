//! Why a model cannot be loaded.

use domain::error::Source;

/// A failure to load a model. The text names files and shapes, never anything a person wrote.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The weights are not in the models folder.
    #[error("the weights of {model} are not there; run `memorychat models pull`")]
    Missing {
        /// The model.
        model: String,
    },
    /// The file is of a kind this program cannot run.
    #[error("this GGUF file cannot be used: {why}")]
    Unsupported {
        /// What is the matter with it.
        why: String,
    },
    /// The files cannot be read or do not fit together.
    #[error(
        "the weights of {model} cannot be loaded; delete them and run `memorychat models pull`"
    )]
    Broken {
        /// The model.
        model: String,
        /// What went wrong.
        #[source]
        source: Source,
    },
}

impl LoadError {
    /// Wraps what went wrong with a model's files.
    pub(crate) fn broken(model: &str, source: impl Into<Source>) -> Self {
        Self::Broken {
            model: model.to_owned(),
            source: source.into(),
        }
    }
}
