//! The Qdrant server, or its engine in this process.

use std::path::{Path, PathBuf};

use adapter_qdrant::{QdrantConfig, QdrantConfigError};

use super::Reader;

/// What to do where the engine is asked for and not there.
const NOT_BUILT_IN: &str = "MEMORYCHAT_INDEX: this program was built without Qdrant's engine; build it with \
    `cargo build --release --features embedded-qdrant`";

impl Reader<'_> {
    /// The folder of the engine, where it is chosen.
    pub(super) fn qdrant_folder(&mut self, data_dir: &Path) -> Option<PathBuf> {
        let choice = self.choice("MEMORYCHAT_INDEX", &["auto", "embedded-qdrant"]);
        if choice != "embedded-qdrant" {
            return None;
        }
        if !cfg!(feature = "embedded-qdrant") {
            self.mistakes.push(NOT_BUILT_IN.to_owned());
        } else if self.text("QDRANT_URL").is_some() {
            let both = "MEMORYCHAT_INDEX: embedded-qdrant and QDRANT_URL exclude each other";
            self.mistakes.push(both.to_owned());
        }
        Some(data_dir.join("qdrant"))
    }

    /// The server, where one is named.
    pub(super) fn qdrant(&mut self) -> Option<QdrantConfig> {
        let config = QdrantConfig {
            api_key: self.secret("QDRANT_API_KEY"),
            collection: self.text("QDRANT_COLLECTION").unwrap_or_default(),
            shards: self.optional("QDRANT_SHARDS", 1, 1024),
            replication: self.optional("QDRANT_REPLICATION", 1, 64),
            on_disk: self.flag("QDRANT_ON_DISK"),
            allow_insecure: self.flag("QDRANT_ALLOW_INSECURE"),
            ..QdrantConfig::new(self.text("QDRANT_URL")?)
        };
        if let Err(mistake) = config.check() {
            let setting = match mistake {
                QdrantConfigError::Url
                | QdrantConfigError::WithoutTls
                | QdrantConfigError::WithoutKey => "QDRANT_URL",
                QdrantConfigError::Collection => "QDRANT_COLLECTION",
                QdrantConfigError::Key => "QDRANT_API_KEY",
            };
            let way_out = match mistake {
                QdrantConfigError::WithoutTls | QdrantConfigError::WithoutKey => {
                    ", or QDRANT_ALLOW_INSECURE=true"
                }
                QdrantConfigError::Url | QdrantConfigError::Collection | QdrantConfigError::Key => {
                    ""
                }
            };
            self.mistakes.push(format!("{setting}: {mistake}{way_out}"));
        }
        Some(config)
    }
}
