//! What the operator decides.

use std::time::Duration;

use secrecy::SecretString;

/// How to reach a service, and what to ask of it.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// Where the service is, up to and with its version: `https://api.openai.com/v1`.
    pub base_url: String,
    /// The key; a server on one's own machine often has none.
    pub api_key: Option<SecretString>,
    /// The chat model, as the service calls it.
    pub model: String,
    /// How freely it writes; not sent to models that do not take it.
    pub temperature: f32,
    /// The longest answer wanted, in tokens.
    pub max_tokens: u32,
    /// The model's window in tokens; `None` to know it by the model's name.
    pub context_tokens: Option<u32>,
    /// How long to wait, and how often to try.
    pub patience: Patience,
}

impl Default for OpenAiConfig {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            api_key: None,
            model: "gpt-4o-mini".to_owned(),
            temperature: 0.7,
            max_tokens: 1000,
            context_tokens: None,
            patience: Patience::default(),
        }
    }
}

impl OpenAiConfig {
    /// Small enough for most models that people run themselves.
    const UNKNOWN_WINDOW: u32 = 8192;

    /// The window that was set, or that of a model of this name, or a careful guess.
    pub fn window(&self) -> u32 {
        let known = || tiktoken_rs::model::get_context_size(&self.model);
        self.context_tokens
            .or_else(|| known().and_then(|tokens| u32::try_from(tokens).ok()))
            .unwrap_or(Self::UNKNOWN_WINDOW)
    }
}

/// How long to wait for a service, and how often to try.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// From sending a request to the first words of the answer.
    pub first_token: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// Tries in all, as long as nothing of an answer has come.
    pub tries: u32,
    /// The longest pause before the second try; it doubles with each further one.
    pub backoff: Duration,
    /// The longest pause at all. A service that asks for more is not called again.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: Duration::from_mins(1),
            idle: Duration::from_secs(30),
            tries: 3,
            backoff: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The address is none.
    #[error("the base URL must be an http or https address without a query")]
    BaseUrl,
    /// The key holds characters that a header cannot.
    #[error("the API key holds characters that cannot be sent")]
    ApiKey,
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(model: &str, context_tokens: Option<u32>) -> u32 {
        OpenAiConfig {
            model: model.to_owned(),
            context_tokens,
            ..OpenAiConfig::default()
        }
        .window()
    }

    #[test]
    fn the_window_is_what_was_set_or_known_by_name_or_small() {
        assert_eq!(window("gpt-4o-mini", Some(4096)), 4096);
        assert_eq!(window("gpt-4o-mini", None), 128_000);
        assert_eq!(window("gpt-4o-2024-08-06", None), 128_000);
        assert_eq!(window("my-own-model", None), 8192);
    }

    #[test]
    fn a_printed_setting_shows_no_key() {
        let api_key = Some(SecretString::from("hunter2"));
        let printed = format!(
            "{:?}",
            OpenAiConfig {
                api_key,
                ..OpenAiConfig::default()
            }
        );
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
