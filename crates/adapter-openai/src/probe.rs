//! Is the service there, and does it take our key?

use std::time::Duration;

use async_trait::async_trait;
use domain::health::{Ailment, Probe};
use reqwest::{Method, StatusCode};

use crate::client::OpenAi;

/// Looks whether an OpenAI-compatible service answers.
#[derive(Debug)]
pub struct OpenAiProbe {
    client: OpenAi,
}

impl OpenAiProbe {
    const PATIENCE: Duration = Duration::from_secs(2);

    /// Will ask for the list of models, which costs nothing.
    pub fn new(client: OpenAi) -> Self {
        Self { client }
    }

    fn ailment(&self, problem: &str, way_out: &str) -> Ailment {
        let problem = format!("the model service at {} {problem}", self.client.host());
        Ailment {
            problem,
            way_out: way_out.to_owned(),
        }
    }
}

#[async_trait]
impl Probe for OpenAiProbe {
    fn name(&self) -> &'static str {
        "chat_model"
    }

    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<String, Ailment> {
        let request = self
            .client
            .request(Method::GET, "models")
            .timeout(Self::PATIENCE);
        let status = match request.send().await {
            Ok(response) => response.status(),
            Err(error) if error.is_timeout() => {
                return Err(
                    self.ailment("does not answer in time", "try again, or check the network")
                );
            }
            Err(_) => {
                return Err(
                    self.ailment("cannot be reached", "check OPENAI_BASE_URL and the network")
                );
            }
        };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.ailment(
                "refuses the key",
                "set OPENAI_API_KEY to a key of this service",
            )),
            StatusCode::TOO_MANY_REQUESTS => Err(self.ailment(
                "limits the rate of calls",
                "wait, or raise the limit of the account",
            )),
            status if status.is_server_error() => {
                Err(self.ailment(&format!("answers {status}"), "try again later"))
            }
            // Some services chat without listing their models.
            _ => Ok(format!(
                "{} at {}",
                self.client.config().model,
                self.client.host()
            )),
        }
    }
}
