//! Writing an answer, one token after the other.

use std::hash::{BuildHasher, RandomState};

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use candle_transformers::models::quantized_llama::ModelWeights;
use candle_transformers::utils::apply_repeat_penalty;
use domain::chat::{ModelError, Prompt, ReplyEvent};
use domain::session::{FinishReason, TokenUsage};
use tokio::sync::mpsc::Sender;

use super::LocalChatConfig;
use super::tokens::{Tokens, Utf8Joiner};

/// Tokens of a prompt read in one go: between two goes a listener that went away is noticed.
const GO: usize = 128;
/// Small models repeat themselves without this.
const REPEAT_PENALTY: f32 = 1.1;
/// How far back a repetition counts.
const REPEAT_WINDOW: usize = 64;
/// Only words among the likeliest nine tenths are drawn.
const TOP_P: f64 = 0.9;

/// What all answers share.
pub(super) struct Generator {
    pub(super) name: String,
    pub(super) weights: ModelWeights,
    pub(super) tokens: Tokens,
    pub(super) context_tokens: usize,
    pub(super) config: LocalChatConfig,
}

/// An answer to be written, and who listens.
pub(super) struct Job {
    pub(super) prompt: Prompt,
    pub(super) listener: Sender<Result<ReplyEvent, ModelError>>,
}

/// Why an answer ended before its time.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody listens any more.
    Unheard,
    /// It failed.
    Failed(ModelError),
}

impl From<candle_core::Error> for Stop {
    fn from(error: candle_core::Error) -> Self {
        Self::Failed(ModelError::Unavailable(error.into()))
    }
}

impl Generator {
    /// Writes one answer to its listener. It never waits for the listener: the channel has room for the
    /// longest answer, so a slow reader holds up nobody else's.
    pub(super) fn run(&self, job: Job) {
        let Job { prompt, listener } = job;
        match self.answer(&prompt, &listener) {
            Ok(finished) => drop(listener.try_send(Ok(finished))),
            Err(Stop::Failed(error)) => drop(listener.try_send(Err(error))),
            Err(Stop::Unheard) => {}
        }
    }

    pub(super) fn answer(
        &self,
        prompt: &Prompt,
        listener: &Sender<Result<ReplyEvent, ModelError>>,
    ) -> Result<ReplyEvent, Stop> {
        if listener.is_closed() {
            return Err(Stop::Unheard);
        }
        let ids = self.tokens.prompt(&prompt.messages);
        let ids = ids.map_err(|error| Stop::Failed(ModelError::Unavailable(error)))?;
        let room = self.context_tokens.saturating_sub(ids.len());
        if room == 0 {
            return Err(Stop::Failed(ModelError::PromptTooLong));
        }
        let limit = room.min(usize::try_from(prompt.max_reply_tokens).unwrap_or(room));
        let mut writer = Writer::new(self, &ids, listener)?;
        let finish = writer.write(limit)?;
        let usage = TokenUsage {
            prompt: count(ids.len()),
            completion: count(writer.written.len()),
        };
        Ok(ReplyEvent::Finished {
            model: self.name.clone(),
            finish,
            usage: Some(usage),
        })
    }

    fn sampler(&self) -> LogitsProcessor {
        let seed = self
            .config
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(0));
        let temperature = self.config.temperature;
        let sampling = if temperature > 0.0 {
            Sampling::TopP {
                p: TOP_P,
                temperature,
            }
        } else {
            Sampling::ArgMax
        };
        LogitsProcessor::from_sampling(seed, sampling)
    }
}

/// An answer in the making.
struct Writer<'a> {
    generator: &'a Generator,
    listener: &'a Sender<Result<ReplyEvent, ModelError>>,
    /// A copy of its own: the weights are shared, what was read so far is not.
    model: ModelWeights,
    sampler: LogitsProcessor,
    /// What the model thinks of each token as the next one.
    logits: Tensor,
    read: usize,
    written: Vec<u32>,
}

impl<'a> Writer<'a> {
    /// Reads the prompt.
    fn new(
        generator: &'a Generator,
        prompt: &[u32],
        listener: &'a Sender<Result<ReplyEvent, ModelError>>,
    ) -> Result<Self, Stop> {
        let mut writer = Self {
            generator,
            listener,
            model: generator.weights.clone(),
            sampler: generator.sampler(),
            logits: Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu)?,
            read: 0,
            written: Vec::new(),
        };
        for go in prompt.chunks(GO) {
            writer.read(go)?;
        }
        Ok(writer)
    }

    /// Writes until the model is done or so many tokens are there.
    fn write(&mut self, limit: usize) -> Result<FinishReason, Stop> {
        let mut joiner = Utf8Joiner::default();
        while self.written.len() < limit {
            let token = self.next_token()?;
            let Some(bytes) = self.generator.tokens.bytes(token) else {
                return Ok(FinishReason::Stop);
            };
            self.written.push(token);
            self.say(joiner.push(bytes))?;
            if self.written.len() < limit {
                self.read(&[token])?;
            }
        }
        Ok(FinishReason::Length)
    }

    fn next_token(&mut self) -> Result<u32, Stop> {
        let recent = self.written.len().saturating_sub(REPEAT_WINDOW);
        let recent = self.written.get(recent..).unwrap_or_default();
        let logits = apply_repeat_penalty(&self.logits, REPEAT_PENALTY, recent)?;
        Ok(self.sampler.sample(&logits)?)
    }

    /// Lets the model take in tokens.
    fn read(&mut self, tokens: &[u32]) -> Result<(), Stop> {
        if self.listener.is_closed() {
            return Err(Stop::Unheard);
        }
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        self.logits = self.model.forward(&input, self.read)?.squeeze(0)?;
        self.read += tokens.len();
        Ok(())
    }

    fn say(&self, text: String) -> Result<(), Stop> {
        if text.is_empty() {
            return Ok(());
        }
        self.listener
            .try_send(Ok(ReplyEvent::Delta(text)))
            .map_err(|_| Stop::Unheard)
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
