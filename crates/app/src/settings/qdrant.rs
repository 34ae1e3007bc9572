//! The Qdrant server.

use adapter_qdrant::{QdrantConfig, QdrantConfigError};

use super::Reader;

impl Reader<'_> {
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
