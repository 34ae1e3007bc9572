//! The sentence encoder: BERT, the mean of its outputs, scaled to length 1.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use domain::error::Source;
use domain::memory::Embedding;
use tokenizers::{Encoding, PaddingParams, Tokenizer, TruncationParams};

/// A loaded encoder.
pub(super) struct Encoder {
    model: BertModel,
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
        let config: Config = serde_json::from_slice(&fs::read(config)?)?;
        let weights =
            VarBuilder::from_buffered_safetensors(fs::read(weights)?, DType::F32, &Device::Cpu)?;
        let mut tokenizer = Tokenizer::from_file(tokenizer)?;
        // The file asks for 128 tokens always; texts are padded to their batch and cut by purpose.
        tokenizer.with_padding(Some(PaddingParams::default()));
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
            model: BertModel::load(weights, &config)?,
            tokenizers: tokenizers.collect::<Result<_, Source>>()?,
            dimension: config.hidden_size,
        })
    }

    /// Length of the vectors.
    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// One vector per text, in order. Longer texts are cut to `max_tokens`, frame tokens included: one of
    /// the lengths that it was loaded with.
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
        let encodings =
            tokenizer.encode_batch_fast(texts.iter().map(String::as_str).collect(), true)?;
        let ids = rows(&encodings, Encoding::get_ids)?;
        let mask = rows(&encodings, Encoding::get_attention_mask)?;
        let outputs = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let means = masked_mean(&outputs, &mask)?.to_vec2::<f32>()?;
        means
            .into_iter()
            .map(|mean| Embedding::new(mean).ok_or_else(|| "the encoder gave no direction".into()))
            .collect()
    }
}

/// A tensor with one row per text; padding made them equally long.
fn rows(encodings: &[Encoding], row: fn(&Encoding) -> &[u32]) -> candle_core::Result<Tensor> {
    let rows: Vec<&[u32]> = encodings.iter().map(row).collect();
    let width = rows.first().map_or(0, |row| row.len());
    Tensor::from_vec(rows.concat(), (encodings.len(), width), &Device::Cpu)
}

/// The mean over a text's own tokens, padding left out.
fn masked_mean(outputs: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
    let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
    let sum = outputs.broadcast_mul(&mask)?.sum(1)?;
    sum.broadcast_div(&mask.sum(1)?)
}
