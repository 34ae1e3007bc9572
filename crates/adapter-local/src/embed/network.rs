//! BERT: what its weights are called in their file, and what is done with them.

use domain::error::Source;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::functions::{Norm, gelu, softmax};
use super::linear::{Linear, Panels, Rows, RowsMut};

/// The shape, as the model's own configuration file tells it.
#[derive(Deserialize)]
pub(super) struct Shape {
    /// Length of a token's row.
    #[serde(rename = "hidden_size")]
    pub(super) width: usize,
    #[serde(rename = "intermediate_size")]
    inner: usize,
    #[serde(rename = "num_hidden_layers")]
    layers: usize,
    #[serde(rename = "num_attention_heads")]
    heads: usize,
    /// Tokens of the longest text.
    #[serde(rename = "max_position_embeddings")]
    pub(super) positions: usize,
    #[serde(rename = "layer_norm_eps")]
    epsilon: f32,
    hidden_act: Activation,
}

/// The only one that is known here: another must not be taken for it.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Activation {
    Gelu,
}

/// The layers and what goes into the first of them.
pub(super) struct Network {
    words: Vec<f32>,
    /// A row per place in a text. All text is of the first of the two types, so that its row is in these.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    shape: Shape,
}

struct Layer {
    /// Query, key and value of each token, in this order, in one row.
    attention: Linear,
    attended: Linear,
    attended_norm: Norm,
    widen: Linear,
    narrow: Linear,
    norm: Norm,
}

/// Rows of the tokens of some texts, one text after the other.
struct Tokens {
    /// How many belong to each text.
    lengths: Vec<usize>,
    rows: Vec<f32>,
}

impl Network {
    /// Takes the weights out of their file.
    pub(super) fn load(file: &[u8], shape: Shape) -> Result<Self, Source> {
        let Activation::Gelu = shape.hidden_act;
        let width = shape.width;
        if shape.heads == 0 || !width.is_multiple_of(shape.heads) {
            return Err("the heads do not share the width evenly".into());
        }
        let file = SafeTensors::deserialize(file)?;
        let file = File {
            file,
            epsilon: shape.epsilon,
        };
        let mut positions = file.read(
            "embeddings.position_embeddings.weight",
            shape.positions * width,
        )?;
        let types = file.read("embeddings.token_type_embeddings.weight", 2 * width)?;
        for row in positions.chunks_exact_mut(width) {
            add(row, &types[..width]);
        }
        let layers = (0..shape.layers).map(|n| file.layer(n, &shape));
        Ok(Self {
            words: file.read_all("embeddings.word_embeddings.weight")?,
            positions,
            norm: file.norm("embeddings.LayerNorm", width)?,
            layers: layers.collect::<Result<_, Source>>()?,
            shape,
        })
    }

    /// The mean of each text's outputs. Texts may be of unlike length, but not empty.
    pub(super) fn means(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, Source> {
        let mut tokens = self.embed(texts)?;
        for layer in &self.layers {
            layer.apply(&mut tokens, &self.shape);
        }
        Ok(tokens.means(self.shape.width))
    }

    fn embed(&self, texts: &[&[u32]]) -> Result<Tokens, Source> {
        let width = self.shape.width;
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        if lengths.iter().any(|length| *length > self.shape.positions) {
            return Err("a text is longer than the model's longest".into());
        }
        let mut rows = Vec::with_capacity(lengths.iter().sum::<usize>() * width);
        for text in texts {
            for (id, position) in text.iter().zip(self.positions.chunks_exact(width)) {
                let first = usize::try_from(*id)? * width;
                let word = self.words.get(first..first + width);
                let start = rows.len();
                rows.extend_from_slice(word.ok_or("a token that the model does not know")?);
                add(&mut rows[start..], position);
                self.norm.apply(&mut rows[start..]);
            }
        }
        Ok(Tokens { lengths, rows })
    }
}

impl Tokens {
    fn means(&self, width: usize) -> Vec<Vec<f32>> {
        let mut rows = self.rows.chunks_exact(width);
        let mean = |length: &usize| {
            let mut mean = vec![0.0; width];
            for row in rows.by_ref().take(*length) {
                add(&mut mean, row);
            }
            for value in &mut mean {
                *value /= *length as f32;
            }
            mean
        };
        self.lengths.iter().map(mean).collect()
    }
}

impl Layer {
    fn apply(&self, tokens: &mut Tokens, shape: &Shape) {
        let (width, rows) = (shape.width, &mut tokens.rows);
        let count = rows.len() / width;
        let mut wide = vec![0.0; count * shape.inner.max(3 * width)];
        let mut out = vec![0.0; rows.len()];
        let mut context = vec![0.0; rows.len()];

        let attention = &mut wide[..count * 3 * width];
        self.attention.apply(rows, attention);
        attend(attention, &mut context, &tokens.lengths, shape);
        self.attended.apply(&context, &mut out);
        add_and_norm(rows, &out, &self.attended_norm);

        let inner = &mut wide[..count * shape.inner];
        self.widen.apply(rows, inner);
        gelu(inner);
        self.narrow.apply(inner, &mut out);
        add_and_norm(rows, &out, &self.norm);
    }
}

/// For each text by itself: each token's mix of its values, weighed by how query and key agree.
fn attend(attention: &[f32], context: &mut [f32], lengths: &[usize], shape: &Shape) {
    let width = shape.width;
    let head = width / shape.heads;
    let scale = 1.0 / (head as f32).sqrt();
    let mut scores = Vec::new();
    let mut first = 0;
    for &length in lengths {
        let attention = &attention[first * 3 * width..];
        scores.resize(length * length, 0.0);
        for column in (0..width).step_by(head) {
            let part = |part: usize, token: usize, n: usize| {
                attention[(token * 3 + part) * width + column + n]
            };
            let keys = Panels::new(length, head, |token, n| part(1, token, n));
            let values = Panels::new(head, length, |n, token| part(2, token, n));
            let queries = Rows {
                values: &attention[column..],
                stride: 3 * width,
            };
            keys.multiply(
                length,
                queries,
                &mut RowsMut {
                    values: &mut scores,
                    stride: length,
                },
            );
            for row in scores.chunks_exact_mut(length) {
                softmax(row, scale);
            }
            let weights = Rows {
                values: &scores,
                stride: length,
            };
            let context = &mut context[first * width + column..];
            values.multiply(
                length,
                weights,
                &mut RowsMut {
                    values: context,
                    stride: width,
                },
            );
        }
        first += length;
    }
}

fn add_and_norm(rows: &mut [f32], more: &[f32], norm: &Norm) {
    let width = norm.shifts.len();
    for (row, more) in rows.chunks_exact_mut(width).zip(more.chunks_exact(width)) {
        add(row, more);
        norm.apply(row);
    }
}

fn add(row: &mut [f32], more: &[f32]) {
    for (value, more) in row.iter_mut().zip(more) {
        *value += more;
    }
}

/// The weights' file.
struct File<'a> {
    file: SafeTensors<'a>,
    epsilon: f32,
}

impl File<'_> {
    fn read_all(&self, name: &str) -> Result<Vec<f32>, Source> {
        let tensor = self.file.tensor(name)?;
        if tensor.dtype() != Dtype::F32 {
            return Err(format!("{name} is not of 32-bit numbers").into());
        }
        let (numbers, _) = tensor.data().as_chunks();
        Ok(numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect())
    }

    fn read(&self, name: &str, count: usize) -> Result<Vec<f32>, Source> {
        let numbers = self.read_all(name)?;
        if numbers.len() != count {
            return Err(format!("{name} has {} numbers, not {count}", numbers.len()).into());
        }
        Ok(numbers)
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, Source> {
        Ok(Norm {
            factors: self.read(&format!("{name}.weight"), width)?,
            shifts: self.read(&format!("{name}.bias"), width)?,
            epsilon: self.epsilon,
        })
    }

    /// Layers with the same inputs, as one with all of their outputs.
    fn linear(&self, names: &[String], inputs: usize, outputs: usize) -> Result<Linear, Source> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for name in names {
            weights.extend(self.read(&format!("{name}.weight"), inputs * outputs)?);
            biases.extend(self.read(&format!("{name}.bias"), outputs)?);
        }
        Ok(Linear::new(&weights, biases))
    }

    fn layer(&self, n: usize, shape: &Shape) -> Result<Layer, Source> {
        let name = |part: &str| format!("encoder.layer.{n}.{part}");
        let (width, inner) = (shape.width, shape.inner);
        let attention =
            ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Ok(Layer {
            attention: self.linear(&attention, width, width)?,
            attended: self.linear(&[name("attention.output.dense")], width, width)?,
            attended_norm: self.norm(&name("attention.output.LayerNorm"), width)?,
            widen: self.linear(&[name("intermediate.dense")], width, inner)?,
            narrow: self.linear(&[name("output.dense")], inner, width)?,
            norm: self.norm(&name("output.LayerNorm"), width)?,
        })
    }
}
