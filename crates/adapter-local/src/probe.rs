//! What reports say about the local models.

use std::path::PathBuf;

use async_trait::async_trait;
use domain::health::{Ailment, Probe};

use crate::weights::{ModelId, Models};

/// Looks whether a model's weights are in the models folder, whole.
pub struct ModelProbe {
    models: Models,
    which: ModelId,
    file: Option<PathBuf>,
}

impl ModelProbe {
    /// A probe of one model.
    pub fn new(models: Models, which: ModelId) -> Self {
        Self {
            models,
            which,
            file: None,
        }
    }

    /// Looks for this file of weights, where there is one, and not for the catalogue's.
    #[must_use]
    pub fn with_file(mut self, file: Option<PathBuf>) -> Self {
        self.file = file;
        self
    }

    /// The model's name, whether it is there, and the way out if not.
    fn look(&self) -> (String, bool, &'static str) {
        if let Some(file) = &self.file {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let way_out = "correct the path of the GGUF file in the settings";
            return (name.into_owned(), file.is_file(), way_out);
        }
        let state = self.models.state(self.which);
        (
            state.name.to_owned(),
            state.present,
            "run `memorychat models pull`",
        )
    }
}

#[async_trait]
impl Probe for ModelProbe {
    fn name(&self) -> &'static str {
        match self.which {
            ModelId::Embedding => "embedding_model",
            ModelId::Chat => "chat_model",
        }
    }

    /// Without weights the service still recalls by words, and says how to get an answering model.
    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<String, Ailment> {
        let (name, present, way_out) = self.look();
        if present {
            return Ok(format!("{name}, in this process"));
        }
        Err(Ailment {
            problem: format!("the weights of {name} are not there"),
            way_out: way_out.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_model_names_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        for which in ModelId::ALL {
            let ailment = ModelProbe::new(Models::new(folder.path()), which)
                .check()
                .await
                .unwrap_err();
            assert_eq!(ailment.way_out, "run `memorychat models pull`");
        }
    }

    #[tokio::test]
    async fn a_file_from_the_settings_is_looked_for_instead() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.gguf");
        let models = Models::new(folder.path());
        let probe = ModelProbe::new(models, ModelId::Chat).with_file(Some(file.clone()));
        assert!(
            probe
                .check()
                .await
                .unwrap_err()
                .way_out
                .contains("settings")
        );
        std::fs::write(file, b"weights").unwrap();
        assert_eq!(probe.check().await.unwrap(), "other, in this process");
    }
}
