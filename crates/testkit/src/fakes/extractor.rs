//! An extractor that proposes what it is told.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use domain::memory::{Candidate, ExtractError, MemoryExtractor, Utterance};
use domain::privacy::LearnGrant;

use super::lock;

type Answer = Result<Vec<Candidate>, ExtractError>;

/// Answers from a list; when that is empty, proposes the whole utterance. It remembers what it saw.
#[derive(Default)]
pub struct ScriptedExtractor {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Utterance>>,
}

impl ScriptedExtractor {
    /// An extractor that proposes every utterance as it is.
    pub fn verbatim() -> Self {
        Self::default()
    }

    /// Answers this to the next utterance that nothing is planned for.
    pub fn then(&self, answer: Answer) {
        lock(&self.answers).push_back(answer);
    }

    /// Every utterance so far.
    pub fn seen(&self) -> Vec<Utterance> {
        lock(&self.seen).clone()
    }
}

#[async_trait]
impl MemoryExtractor for ScriptedExtractor {
    async fn extract(&self, _grant: &LearnGrant, utterance: &Utterance) -> Answer {
        lock(&self.seen).push(utterance.clone());
        let text = &utterance.text;
        let verbatim = || {
            Ok(vec![Candidate {
                text: text.clone(),
                quote: text.clone(),
            }])
        };
        lock(&self.answers).pop_front().unwrap_or_else(verbatim)
    }
}
