//! Reading a GGUF file into a model that runs fast on this machine.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_transformers::models::quantized_llama::{MAX_SEQ_LEN, ModelWeights};
use domain::error::Source;
use sha2::{Digest, Sha256};

use super::tokens::Tokens;
use crate::error::LoadError;

/// A chat model as it is in its file.
pub(super) struct Loaded {
    pub(super) weights: ModelWeights,
    pub(super) tokens: Tokens,
    pub(super) context_tokens: u32,
}

/// Loads a model. Tensors of a kind that has no fast arithmetic are converted the first time, and the
/// result is kept in `folder`.
pub(super) fn load(path: &Path, name: &str, folder: &Path) -> Result<Loaded, LoadError> {
    let broken = |source: Source| LoadError::broken(name, source);
    let (content, file) = open(path).map_err(broken)?;
    check(&content)?;
    if !content
        .tensor_infos
        .values()
        .any(|tensor| is_slow(tensor.ggml_dtype))
    {
        return assemble(content, file).map_err(broken);
    }
    let fast = fast_path(path, folder).map_err(broken)?;
    // A kept file that cannot be read is made anew.
    if let Ok(loaded) = open(&fast).and_then(|(content, file)| assemble(content, file)) {
        return Ok(loaded);
    }
    convert(&content, file, &fast).map_err(broken)?;
    open(&fast)
        .and_then(|(content, file)| assemble(content, file))
        .map_err(broken)
}

fn open(path: &Path) -> Result<(Content, BufReader<File>), Source> {
    let mut file = BufReader::new(File::open(path)?);
    Ok((Content::read(&mut file)?, file))
}

/// Refuses what this code would run wrongly.
fn check(content: &Content) -> Result<(), LoadError> {
    for (key, wanted) in [
        ("general.architecture", "llama"),
        ("tokenizer.ggml.pre", "smollm"),
    ] {
        let found = content
            .metadata
            .get(key)
            .and_then(|value| value.to_string().ok());
        if found.is_none_or(|found| found != wanted) {
            return Err(LoadError::Unsupported {
                why: format!("its {key} is not {wanted}"),
            });
        }
    }
    Ok(())
}

fn assemble(content: Content, mut file: BufReader<File>) -> Result<Loaded, Source> {
    let tokens = Tokens::from_gguf(&content)?;
    let context = content
        .metadata
        .get("llama.context_length")
        .ok_or("it has no context length")?;
    // Candle lays out positions for so many tokens only, and fails beyond.
    let context_tokens = context.to_u32()?.min(u32::try_from(MAX_SEQ_LEN)?);
    let weights = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    Ok(Loaded {
        weights,
        tokens,
        context_tokens,
    })
}

/// Candle has vector arithmetic for the other kinds only; these are several times slower.
fn is_slow(kind: GgmlDType) -> bool {
    matches!(
        kind,
        GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1 | GgmlDType::Q8_1
    )
}

/// Where the converted file is kept: its name follows the source's content, so a changed source is
/// never mistaken for the old one.
fn fast_path(source: &Path, folder: &Path) -> Result<PathBuf, Source> {
    let mut sum = Sha256::new();
    io::copy(&mut File::open(source)?, &mut HashWriter(&mut sum))?;
    let digest = hex::encode(sum.finalize());
    let short = digest.get(..16).unwrap_or(&digest);
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    Ok(folder
        .join("converted")
        .join(format!("{stem}-{short}.Q8_0.gguf")))
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the model anew with its slow tensors as Q8_0, which keeps their precision (Q4_0 would not);
/// it becomes visible whole.
fn convert(content: &Content, mut file: BufReader<File>, to: &Path) -> Result<(), Source> {
    let mut tensors = Vec::with_capacity(content.tensor_infos.len());
    for (name, info) in &content.tensor_infos {
        let tensor = info.read(&mut file, content.tensor_data_offset, &Device::Cpu)?;
        let tensor = if is_slow(info.ggml_dtype) {
            QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q8_0)?
        } else {
            tensor
        };
        tensors.push((name.as_str(), tensor));
    }
    let tensors: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    // The writer aligns in its own way.
    let metadata = content
        .metadata
        .iter()
        .filter(|(key, _)| *key != "general.alignment");
    let metadata: Vec<(&str, &Value)> =
        metadata.map(|(key, value)| (key.as_str(), value)).collect();
    let folder = to.parent().ok_or("the models folder has no name")?;
    fs::create_dir_all(folder)?;
    let staging = tempfile::tempdir_in(folder)?;
    let part = staging.path().join("part.gguf");
    let mut out = BufWriter::new(File::create(&part)?);
    gguf_file::write(&mut out, &metadata, &tensors)?;
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    fs::rename(part, to)?;
    Ok(())
}
