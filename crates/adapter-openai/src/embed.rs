//! Embeddings.

use async_trait::async_trait;
use domain::memory::{EmbedError, Embedder, Embedding, EmbeddingPurpose, EmbeddingSpace};
use serde::{Deserialize, Serialize};

use crate::client::OpenAi;
use crate::failure::{Failure, Kind};

/// An embedding model of an OpenAI-compatible service.
#[derive(Debug)]
pub struct OpenAiEmbedder {
    client: OpenAi,
    space: EmbeddingSpace,
}

impl OpenAiEmbedder {
    /// Texts per call.
    const BATCH: usize = 128;
    /// The longest answer: a full batch of long vectors, written out, has about 10 MB.
    const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
    /// A text that is too long even at so many characters is refused for another reason.
    const SHORTEST_CUT: usize = 32;

    /// Asks the service for one vector, to learn how long this model's vectors are.
    pub async fn connect(client: OpenAi, model: String) -> Result<Self, EmbedError> {
        let vectors = vectors(&client, &model, &["dimension".to_owned()]).await?;
        let dimension = vectors.first().map_or(0, Embedding::dimension);
        Ok(Self {
            client,
            space: EmbeddingSpace { model, dimension },
        })
    }

    /// The service alone knows how many tokens it takes, so a batch that it calls too long is cut in
    /// half until it fits.
    async fn batch(&self, mut texts: Vec<String>) -> Result<Vec<Embedding>, EmbedError> {
        loop {
            let failure = match vectors(&self.client, &self.space.model, &texts).await {
                Ok(vectors) => return self.of_this_space(vectors),
                Err(failure) => failure,
            };
            let longest = texts
                .iter()
                .map(|text| text.chars().count())
                .max()
                .unwrap_or(0);
            if !is_too_long(&failure) || longest <= Self::SHORTEST_CUT {
                return Err(failure.into());
            }
            for text in &mut texts {
                cut(text, longest / 2);
            }
        }
    }

    fn of_this_space(&self, vectors: Vec<Embedding>) -> Result<Vec<Embedding>, EmbedError> {
        if vectors
            .iter()
            .all(|vector| vector.dimension() == self.space.dimension)
        {
            Ok(vectors)
        } else {
            Err(Failure::Malformed("vectors of another length").into())
        }
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        _purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for batch in texts.chunks(Self::BATCH) {
            embeddings.extend(self.batch(batch.to_vec()).await?);
        }
        Ok(embeddings)
    }
}

fn is_too_long(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.kind == Kind::TooLong)
}

fn cut(text: &mut String, chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: Vec<&'a str>,
    encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

/// One vector per text, in their order, or a failure.
async fn vectors(
    client: &OpenAi,
    model: &str,
    texts: &[String],
) -> Result<Vec<Embedding>, Failure> {
    // An empty text is refused by most services; a space means as little.
    let input = texts
        .iter()
        .map(|text| if text.is_empty() { " " } else { text })
        .collect();
    let request = Request {
        model,
        input,
        encoding_format: "float",
    };
    let mut begun = client.post("embeddings", &request).await?;
    let body = begun.body(OpenAiEmbedder::ANSWER_LIMIT).await?;
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|_| Failure::Malformed("no embeddings"))?;
    in_order(answer.data, texts.len())
}

/// Each index from 0 to the count, once each.
fn in_order(mut items: Vec<Item>, count: usize) -> Result<Vec<Embedding>, Failure> {
    items.sort_by_key(|item| item.index);
    if !items.iter().map(|item| item.index).eq(0..count) {
        return Err(Failure::Malformed("another number of vectors"));
    }
    let embedding = |item: Item| Embedding::new(item.embedding);
    items
        .into_iter()
        .map(embedding)
        .collect::<Option<_>>()
        .ok_or(Failure::Malformed("no vector"))
}
