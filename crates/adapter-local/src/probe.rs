//! What reports say about the local models.

use async_trait::async_trait;
use domain::health::{Ailment, Probe};

use crate::weights::{ModelId, Models};

/// Looks whether a model's weights are in the models folder, whole.
pub struct ModelProbe {
    models: Models,
    which: ModelId,
}

impl ModelProbe {
    /// A probe of one model.
    pub fn new(models: Models, which: ModelId) -> Self {
        Self { models, which }
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
        let state = self.models.state(self.which);
        if state.present {
            return Ok(format!("{}, in this process", state.name));
        }
        Err(Ailment {
            problem: format!("the weights of {} are not there", state.name),
            way_out: "run `memorychat models pull`".to_owned(),
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
}
