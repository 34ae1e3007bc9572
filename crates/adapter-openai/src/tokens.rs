//! How many tokens a text is.

use std::thread;

use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use tiktoken_rs::{CoreBPE, bpe_for_tokenizer};

/// Counts as the model of this name does, or nearly so for models with tokenizers of their own.
#[derive(Debug)]
pub(crate) struct TokenCounter {
    tokenizer: Tokenizer,
}

impl TokenCounter {
    /// Texts are counted in pieces of so many bytes. The tokenizer's patterns take ever longer on, and
    /// at last fail for, a text without word ends; a cut costs a token or two.
    const PIECE: usize = 4096;

    /// The vocabulary takes a moment to build, so that begins now and in the background.
    pub(crate) fn new(model: &str) -> Self {
        let tokenizer = get_tokenizer(model).unwrap_or(Tokenizer::O200kBase);
        // When no thread can be had, the first count builds it.
        drop(thread::Builder::new().spawn(move || vocabulary(tokenizer)));
        Self { tokenizer }
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        let Some(vocabulary) = vocabulary(self.tokenizer) else {
            return text.len();
        };
        pieces(text)
            .map(|piece| vocabulary.count_ordinary(piece))
            .sum()
    }
}

fn vocabulary(tokenizer: Tokenizer) -> Option<&'static CoreBPE> {
    bpe_for_tokenizer(tokenizer).ok()
}

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(TokenCounter::PIECE));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_as_the_model_does() {
        assert_eq!(TokenCounter::new("gpt-4o-mini").count("hello world"), 2);
        assert_eq!(TokenCounter::new("gpt-4o-mini").count(""), 0);
        let text = "Привет, мир! Как дела?";
        let count = |model| TokenCounter::new(model).count(text);
        assert!(count("gpt-4o-mini") < count("gpt-3.5-turbo"));
        assert_eq!(count("unknown-model"), count("gpt-4o"));
    }

    #[test]
    fn a_special_token_in_a_text_is_only_text() {
        assert!(TokenCounter::new("gpt-4o").count("<|endoftext|>") > 1);
    }

    #[test]
    fn no_text_is_too_strange_to_count() {
        let counter = TokenCounter::new("gpt-4o");
        for pattern in [" ", "a", "\n", " \n", "漢", "😀", "\u{301}", "'s", "1"] {
            let text = pattern.repeat(100_000);
            let tokens = counter.count(&text);
            assert!(tokens > 0 && tokens <= text.len(), "{pattern:?}: {tokens}");
        }
    }

    #[test]
    fn pieces_are_the_text() {
        let text = "añ漢😀".repeat(3000);
        assert_eq!(pieces(&text).collect::<String>(), text);
        assert!(pieces(&text).all(|piece| piece.len() <= TokenCounter::PIECE));
    }
}
