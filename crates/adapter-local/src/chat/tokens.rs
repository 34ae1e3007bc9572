//! The chat model's tokenizer, made from its GGUF file, and its chat template.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::{Content, Value};
use domain::chat::PromptMessage;
use domain::error::Source;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

/// The GGUF format's type of a token that steers the model and is no text.
const CONTROL: u32 = 3;

/// Text to tokens and back.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    /// Each token's bytes; `None` for one that steers.
    bytes: Vec<Option<Box<[u8]>>>,
    message_start: u32,
    message_end: u32,
}

impl Tokens {
    /// Reads the vocabulary and the merges. Control tokens are left out of the tokenizer on purpose: no
    /// text, whatever a person writes, can then become one.
    pub(super) fn from_gguf(gguf: &Content) -> Result<Self, Source> {
        let words = strings(gguf, "tokenizer.ggml.tokens")?;
        let merges = strings(gguf, "tokenizer.ggml.merges")?;
        let merges = merges.iter().filter_map(|merge| merge.split_once(' '));
        let merges = merges
            .map(|(left, right)| (left.to_owned(), right.to_owned()))
            .collect();
        let vocabulary: Vocab = (0u32..)
            .zip(&words)
            .map(|(id, word)| (word.clone(), id))
            .collect();
        let mut tokenizer = Tokenizer::new(
            BPE::builder()
                .vocab_and_merges(vocabulary, merges)
                .build()?,
        );
        // The GGUF's own name for this, `smollm`, is unknown to candle, which would guess wrongly.
        let steps: Vec<PreTokenizerWrapper> = vec![
            Digits::new(true).into(),
            ByteLevel::new(false, true, true).into(),
        ];
        tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
        let find = |word: &str| {
            (0u32..)
                .zip(&words)
                .find(|(_, w)| *w == word)
                .map(|(id, _)| id)
        };
        Ok(Self {
            message_start: find("<|im_start|>").ok_or("it has no <|im_start|>")?,
            message_end: find("<|im_end|>").ok_or("it has no <|im_end|>")?,
            bytes: token_bytes(&words, &token_types(gguf)?),
            tokenizer,
        })
    }

    /// How many tokens a text makes, without a frame.
    pub(super) fn count(&self, text: &str) -> Result<usize, Source> {
        Ok(self.encode(text)?.len())
    }

    /// The whole conversation in the model's template, up to where its answer begins.
    pub(super) fn prompt(&self, messages: &[PromptMessage]) -> Result<Vec<u32>, Source> {
        let newline = self.encode("\n")?;
        let mut ids = Vec::new();
        for message in messages {
            ids.push(self.message_start);
            ids.extend(self.encode(&format!("{}\n{}", message.role.as_str(), message.content))?);
            ids.push(self.message_end);
            ids.extend(&newline);
        }
        ids.push(self.message_start);
        ids.extend(self.encode("assistant\n")?);
        Ok(ids)
    }

    /// The bytes a token stands for; `None` when it steers, which ends an answer.
    pub(super) fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(id).ok()?)?.as_deref()
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, Source> {
        Ok(self.tokenizer.encode_fast(text, false)?.get_ids().to_vec())
    }
}

fn strings(gguf: &Content, key: &str) -> Result<Vec<String>, Source> {
    let values = gguf
        .metadata
        .get(key)
        .ok_or_else(|| format!("it has no {key}"))?
        .to_vec()?;
    Ok(values
        .iter()
        .map(|value| value.to_string().cloned())
        .collect::<candle_core::Result<_>>()?)
}

fn token_types(gguf: &Content) -> Result<Vec<u32>, Source> {
    let key = "tokenizer.ggml.token_type";
    let values = gguf
        .metadata
        .get(key)
        .ok_or_else(|| format!("it has no {key}"))?
        .to_vec()?;
    let number = |value: &Value| match value {
        Value::I32(number) => Ok(u32::try_from(*number)?),
        other => Ok(other.to_u32()?),
    };
    values.iter().map(number).collect()
}

fn token_bytes(words: &[String], types: &[u32]) -> Vec<Option<Box<[u8]>>> {
    let alphabet = alphabet();
    let bytes = |word: &String| {
        word.chars()
            .filter_map(|c| alphabet.get(&c).copied())
            .collect()
    };
    let types = types.iter().chain(std::iter::repeat(&0));
    words
        .iter()
        .zip(types)
        .map(|(word, kind)| (*kind != CONTROL).then(|| bytes(word)))
        .collect()
}

/// Byte-level vocabularies spell each byte as a printable character: itself where it is printable, else
/// the next unused one from U+0100 on.
fn alphabet() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut spare = '\u{100}'..;
    (0..=u8::MAX)
        .filter_map(|byte| {
            Some((
                if printable(byte) {
                    char::from(byte)
                } else {
                    spare.next()?
                },
                byte,
            ))
        })
        .collect()
}

/// Puts bytes together to text, holding back a character until it is whole.
#[derive(Default)]
pub(super) struct Utf8Joiner {
    pending: Vec<u8>,
}

impl Utf8Joiner {
    /// What can be shown after these bytes; bytes that can never become a character show as U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut taken = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            taken += chunk.valid().len();
            let unfinished = taken + chunk.invalid().len() == self.pending.len()
                && std::str::from_utf8(chunk.invalid())
                    .is_err_and(|error| error.error_len().is_none());
            if unfinished {
                break;
            }
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                taken += chunk.invalid().len();
            }
        }
        self.pending.drain(..taken);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        let alphabet = alphabet();
        assert_eq!(alphabet.len(), 256);
        assert_eq!(
            (alphabet[&'Ġ'], alphabet[&'Ċ'], alphabet[&'a']),
            (b' ', b'\n', b'a')
        );
    }

    #[test]
    fn a_character_is_shown_once_it_is_whole() {
        let mut joiner = Utf8Joiner::default();
        let shown: Vec<String> = "aé🦀b".bytes().map(|byte| joiner.push(&[byte])).collect();
        assert_eq!(shown, ["a", "", "é", "", "", "", "🦀", "b"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_do_not_block() {
        let mut joiner = Utf8Joiner::default();
        assert_eq!(joiner.push(&[0xF0, 0x9F]), "");
        assert_eq!(joiner.push(b"ok"), "\u{FFFD}ok");
        assert_eq!(joiner.push(&[0xFF, b'!']), "\u{FFFD}!");
    }
}
