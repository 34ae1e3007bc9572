//! What answers where there is no model.

use async_trait::async_trait;
use domain::chat::{ChatModel, ModelError, ModelLimits, Prompt, ReplyStream};

/// Stands in for a chat model that is not there: every call fails with the way out.
#[derive(Debug, Clone)]
pub struct MissingChatModel {
    way_out: String,
}

impl MissingChatModel {
    /// A stand-in that says what the operator can do.
    pub fn new(way_out: impl Into<String>) -> Self {
        Self {
            way_out: way_out.into(),
        }
    }
}

#[async_trait]
impl ChatModel for MissingChatModel {
    fn name(&self) -> &'static str {
        "none"
    }

    fn limits(&self) -> ModelLimits {
        ModelLimits {
            context_tokens: 2048,
            reply_tokens: 512,
        }
    }

    /// Four bytes make a token, as a rule of thumb.
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(4)
    }

    async fn stream(&self, _prompt: Prompt) -> Result<ReplyStream, ModelError> {
        Err(ModelError::Missing {
            way_out: self.way_out.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_refuses_with_the_way_out() {
        let model = MissingChatModel::new("run `memorychat models pull`");
        let refused = model
            .stream(Prompt {
                messages: Vec::new(),
                max_reply_tokens: 1,
            })
            .await;
        assert!(matches!(
            refused,
            Err(ModelError::Missing { way_out }) if way_out == "run `memorychat models pull`"
        ));
    }

    #[test]
    fn it_estimates_four_bytes_a_token() {
        let model = MissingChatModel::new("");
        assert_eq!(
            ["", "abcd", "abcde"].map(|text| model.count_tokens(text)),
            [0, 1, 2]
        );
    }
}
