//! Texts to vectors, on threads of their own and with a cache.

mod bert;
mod cache;
mod functions;
mod linear;
mod network;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::thread::available_parallelism;

use async_trait::async_trait;
use domain::error::Source;
use domain::memory::{EmbedError, Embedder, Embedding, EmbeddingPurpose, EmbeddingSpace};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::oneshot;

use crate::error::LoadError;
use crate::weights::{ModelId, Models};
use crate::workers::{Full, Rank, Workers};
use bert::Encoder;
use cache::Cache;

/// Calls of one kind that may wait for a thread.
const WAITING: usize = 64;
/// Texts of one pass through the model, at most.
const BATCH: usize = 32;
/// Longer texts are cut to about so many bytes. So many are also enough for one pass: they are worth
/// reading the weights for, what is made of them stays near the core, and a query that comes meanwhile
/// does not wait long.
const LONGEST: usize = 1024;

/// Sentence embeddings by all-MiniLM-L6-v2, in this process.
///
/// Queries are cut to 64 tokens and overtake documents, which are cut to 256. One core is left to the
/// rest of the program. Vectors are kept by a digest of the text, for an hour and in bounded number.
pub struct LocalEmbedder {
    space: EmbeddingSpace,
    cache: Cache,
    workers: Workers<Job>,
    threads: usize,
}

/// Texts for one pass through the model.
struct Job {
    texts: Vec<String>,
    max_tokens: usize,
    answer: oneshot::Sender<Result<Vec<Embedding>, Source>>,
}

/// A text, and its place among those asked for.
struct Wanted {
    place: usize,
    text: String,
}

impl LocalEmbedder {
    /// Loads the model: a quarter of a second of reading and arithmetic, not for an async thread.
    pub fn open(models: &Models) -> Result<Self, LoadError> {
        let name = ModelId::Embedding.name();
        let files: Option<[PathBuf; 3]> = models
            .files(ModelId::Embedding)
            .and_then(|files| files.try_into().ok());
        let Some([weights, tokenizer, config]) = files else {
            return Err(LoadError::Missing {
                model: name.to_owned(),
            });
        };
        let lengths = [EmbeddingPurpose::Query, EmbeddingPurpose::Document].map(max_tokens);
        let encoder = Encoder::load(&weights, &tokenizer, &config, &lengths)
            .map_err(|source| LoadError::broken(name, source))?;
        let space = EmbeddingSpace {
            model: name.to_owned(),
            dimension: encoder.dimension(),
        };
        let threads =
            available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
        let workers = Workers::start("embed", threads, WAITING, move |job: Job| {
            run(&encoder, job);
        })
        .map_err(|source| LoadError::broken(name, source))?;
        Ok(Self {
            space,
            cache: Cache::new(),
            workers,
            threads,
        })
    }

    /// One pass through the model on one of its threads.
    async fn pass(
        &self,
        wanted: Vec<Wanted>,
        purpose: EmbeddingPurpose,
    ) -> Result<Vec<(usize, Embedding)>, EmbedError> {
        let (answer, answered) = oneshot::channel();
        let (places, texts): (Vec<usize>, Vec<String>) = wanted
            .into_iter()
            .map(|wanted| (wanted.place, wanted.text))
            .unzip();
        let keys: Vec<_> = texts
            .iter()
            .map(|text| Cache::key(text, max_tokens(purpose)))
            .collect();
        let job = Job {
            texts,
            max_tokens: max_tokens(purpose),
            answer,
        };
        self.workers
            .submit(job, rank(purpose))
            .map_err(|Full| EmbedError::Busy)?;
        let vectors = answered
            .await
            .map_err(|_| EmbedError::Unavailable("the embedding thread failed".into()))?
            .map_err(EmbedError::Unavailable)?;
        for (key, vector) in keys.into_iter().zip(&vectors) {
            self.cache.insert(key, vector.clone());
        }
        Ok(places.into_iter().zip(vectors).collect())
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let mut vectors: Vec<Option<Embedding>> = Vec::with_capacity(texts.len());
        let mut unknown = Vec::new();
        for (place, text) in texts.into_iter().enumerate() {
            let known = self.cache.get(&Cache::key(&text, max_tokens(purpose)));
            if known.is_none() {
                unknown.push(Wanted { place, text });
            }
            vectors.push(known);
        }
        // A long list takes as many places in the queue as there are threads, not all of them.
        let passes = stream::iter(batches(unknown)).map(|batch| self.pass(batch, purpose));
        let made: Vec<_> = passes.buffer_unordered(self.threads).try_collect().await?;
        for (place, vector) in made.into_iter().flatten() {
            if let Some(slot) = vectors.get_mut(place) {
                *slot = Some(vector);
            }
        }
        vectors
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| EmbedError::Unavailable("a vector is missing".into()))
    }
}

fn max_tokens(purpose: EmbeddingPurpose) -> usize {
    match purpose {
        EmbeddingPurpose::Query => 64,
        EmbeddingPurpose::Document => 256,
    }
}

fn rank(purpose: EmbeddingPurpose) -> Rank {
    match purpose {
        EmbeddingPurpose::Query => Rank::Urgent,
        EmbeddingPurpose::Document => Rank::Patient,
    }
}

/// Puts neighbours together.
fn batches(wanted: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut batches: Vec<Vec<Wanted>> = Vec::new();
    let mut bytes = 0;
    for wanted in wanted {
        let more = wanted.text.len().min(LONGEST);
        bytes += more;
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && bytes <= LONGEST => batch.push(wanted),
            _ => {
                bytes = more;
                batches.push(vec![wanted]);
            }
        }
    }
    batches
}

fn run(encoder: &Encoder, job: Job) {
    // Nobody waits any more: the caller gave up.
    if job.answer.is_closed() {
        return;
    }
    let vectors = encoder.encode(&job.texts, job.max_tokens);
    // The caller may have given up meanwhile; then the vectors are of no use.
    drop(job.answer.send(vectors));
}
