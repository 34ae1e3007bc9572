//! The sentence encoder: BERT, the mean of its outputs, scaled to length 1.

use std::fs;
use std::path::Path;

use domain::error::Source;
use domain::memory::Embedding;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::network::{Network, Shape};

/// A loaded encoder.
pub(super) struct Encoder {
    network: Network,
    /// One for each length that texts are cut to: making one takes longer than a short text does.
    tokenizers: Vec<(usize, Tokenizer)>,
    dimension: usize,
}

impl Encoder {
    /// Reads the weights, the tokenizer and the shape. `lengths` are those that texts may be cut to.
    pub(super) fn load(
        weights: &Path,
        tokenizer: &Path,
        config: &Path,
        lengths: &[usize],
    ) -> Result<Self, Source> {
        let shape: Shape = serde_json::from_slice(&fs::read(config)?)?;
        let dimension = shape.width;
        let mut tokenizer = Tokenizer::from_file(tokenizer)?;
        // The file asks for 128 tokens always; texts are not padded, and cut by purpose.
        tokenizer.with_padding(None);
        let cut = |max_length: usize| {
            let mut tokenizer = tokenizer.clone();
            tokenizer.with_truncation(Some(TruncationParams {
                max_length,
                ..Default::default()
            }))?;
            Ok((max_length, tokenizer))
        };
        let tokenizers = lengths.iter().copied().map(cut);
        Ok(Self {
            tokenizers: tokenizers.collect::<Result<_, Source>>()?,
            network: Network::load(&fs::read(weights)?, shape)?,
            dimension,
        })
    }

    /// Length of the vectors.
    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// One vector per text, in order. Longer texts are cut to `max_tokens`, frame tokens included: one of
    /// the lengths that it was loaded with. All texts go through the layers together.
    pub(super) fn encode(
        &self,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Vec<Embedding>, Source> {
        let (_, tokenizer) = self
            .tokenizers
            .iter()
            .find(|(length, _)| *length == max_tokens)
            .ok_or("no tokenizer for this length")?;
        let encode = |text: &String| tokenizer.encode_fast(text.as_str(), true);
        let encodings: Vec<Encoding> = texts.iter().map(encode).collect::<Result<_, _>>()?;
        let ids: Vec<&[u32]> = encodings.iter().map(Encoding::get_ids).collect();
        self.network
            .means(&ids)?
            .into_iter()
            .map(|mean| Embedding::new(mean).ok_or_else(|| "the encoder gave no direction".into()))
            .collect()
    }
}
