//! Choosing the models: a service, local weights, or none.

use std::sync::Arc;

use adapter_local::{
    LocalChatConfig, LocalChatModel, LocalEmbedder, MissingChatModel, ModelId, ModelProbe, Models,
    TerminalProgress,
};
use adapter_openai::{
    OpenAi, OpenAiChatModel, OpenAiConfig, OpenAiEmbedder, OpenAiExtractor, OpenAiProbe,
};
use anyhow::{Context, Result};
use domain::chat::ChatModel;
use domain::health::Probe;
use domain::memory::{Embedder, MemoryExtractor, RuleExtractor};
use tokio::task::spawn_blocking;

use crate::settings::{Provider, Settings};

/// The models in use.
pub struct ChosenModels {
    /// Who answers.
    pub chat: Arc<dyn ChatModel>,
    /// Who embeds; without one, recall goes by words.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Who finds what to remember.
    pub extractor: Arc<dyn MemoryExtractor>,
    /// How they are.
    pub probes: Vec<Arc<dyn Probe>>,
    /// One line about the chat model.
    pub chat_line: String,
    /// One line about the embedding model.
    pub embedding_line: String,
}

/// The local models that these settings need and that are not there yet.
pub fn missing(settings: &Settings) -> Vec<ModelId> {
    let models = Models::new(&settings.local.models_dir);
    let mut wanted = Vec::new();
    if settings.embeddings == Provider::Local {
        wanted.push(ModelId::Embedding);
    }
    if settings.chat == Provider::Local && settings.local.gguf.is_none() {
        wanted.push(ModelId::Chat);
    }
    wanted.retain(|which| !models.state(*which).present);
    wanted
}

/// Fetches local models, with a progress bar. One line about each failure; the others are still tried.
pub async fn pull(settings: &Settings, which: &[ModelId]) -> Vec<String> {
    let models = Models::new(&settings.local.models_dir);
    let progress = TerminalProgress::new();
    let mut failures = Vec::new();
    for model in which {
        if let Err(error) = models.pull(*model, &progress).await {
            failures.push(format!("{}: {error}", model.name()));
        }
    }
    failures
}

/// Chooses by the settings. Missing local weights are no error: they are said.
pub async fn choose(settings: &Settings) -> Result<ChosenModels> {
    let weights = Models::new(&settings.local.models_dir);
    let service = match (settings.chat, settings.embeddings) {
        (Provider::Local, Provider::Local) => None,
        _ => Some(service(settings)?),
    };
    let (embedder, embedding_line, embedding_probe) =
        embedder(settings, &weights, service.as_ref()).await?;
    let mut probes = vec![embedding_probe];
    let (chat, extractor, chat_line): (Arc<dyn ChatModel>, Arc<dyn MemoryExtractor>, _) =
        match &service {
            Some(client) if settings.chat == Provider::OpenAi => {
                probes.push(Arc::new(OpenAiProbe::new(client.clone())));
                let line = format!("{}, at {}", settings.openai.model, client.host());
                (
                    Arc::new(OpenAiChatModel::new(client.clone())),
                    Arc::new(OpenAiExtractor::new(client.clone())),
                    line,
                )
            }
            _ => {
                let file = settings.local.gguf.clone();
                probes.push(Arc::new(
                    ModelProbe::new(weights.clone(), ModelId::Chat).with_file(file),
                ));
                let (chat, line) = local_chat(settings, &weights).await?;
                (chat, Arc::new(RuleExtractor), line)
            }
        };
    Ok(ChosenModels {
        chat,
        embedder,
        extractor,
        probes,
        chat_line,
        embedding_line,
    })
}

fn service(settings: &Settings) -> Result<OpenAi> {
    let openai = &settings.openai;
    let mut config = OpenAiConfig {
        api_key: openai.api_key.clone(),
        model: openai.model.clone(),
        temperature: openai.temperature,
        max_tokens: openai.max_tokens,
        context_tokens: openai.context_tokens,
        ..OpenAiConfig::default()
    };
    if let Some(url) = &openai.base_url {
        config.base_url.clone_from(url);
    }
    OpenAi::new(config)
        .context("the model service cannot be used; look at OPENAI_BASE_URL and OPENAI_API_KEY")
}

type ChosenEmbedder = (Option<Arc<dyn Embedder>>, String, Arc<dyn Probe>);

async fn embedder(
    settings: &Settings,
    weights: &Models,
    service: Option<&OpenAi>,
) -> Result<ChosenEmbedder> {
    if let (Provider::OpenAi, Some(client), Some(model)) = (
        settings.embeddings,
        service,
        &settings.openai.embedding_model,
    ) {
        let embedder = OpenAiEmbedder::connect(client.clone(), model.clone())
            .await
            .context("the embedding service does not answer; look at OPENAI_BASE_URL and OPENAI_EMBEDDING_MODEL")?;
        let line = format!(
            "{model} ({} numbers), at {}",
            embedder.space().dimension,
            client.host()
        );
        return Ok((
            Some(Arc::new(embedder)),
            line,
            Arc::new(OpenAiProbe::new(client.clone())),
        ));
    }
    let probe = Arc::new(ModelProbe::new(weights.clone(), ModelId::Embedding));
    let weights = weights.clone();
    Ok(
        match spawn_blocking(move || LocalEmbedder::open(&weights)).await? {
            Ok(embedder) => {
                let space = embedder.space();
                let line = format!(
                    "{} ({} numbers), in this process",
                    space.model, space.dimension
                );
                (Some(Arc::new(embedder)), line, probe)
            }
            Err(error) => (
                None,
                format!("none, recall goes by words alone: {error}"),
                probe,
            ),
        },
    )
}

async fn local_chat(settings: &Settings, weights: &Models) -> Result<(Arc<dyn ChatModel>, String)> {
    let local = &settings.local;
    let config = LocalChatConfig {
        gguf: local.gguf.clone(),
        max_tokens: local.max_tokens,
        context_tokens: local.context_tokens,
        concurrent: local.concurrent,
        // Small models ramble at more.
        temperature: 0.2,
        ..LocalChatConfig::default()
    };
    let weights = weights.clone();
    Ok(
        match spawn_blocking(move || LocalChatModel::open(&weights, config)).await? {
            Ok(model) => {
                let line = format!("{}, in this process", model.name());
                (Arc::new(model), line)
            }
            Err(error) => {
                let way_out = "run `memorychat models pull` and start again, or set OPENAI_API_KEY or OPENAI_BASE_URL";
                (
                    Arc::new(MissingChatModel::new(way_out)),
                    format!("none: {error}"),
                )
            }
        },
    )
}
