//! Words as the memory index sees them.

use std::collections::BTreeMap;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;

/// A word and how often it occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermCount {
    /// Hash of the word's stem (FNV-1a, 32 bits).
    pub term: u32,
    /// Occurrences.
    pub count: u32,
}

/// The words of a text: stems, without stop words, in the order of their hashes. Both sides of a
/// search are made here, so every index sees the same words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms(Vec<TermCount>);

impl Terms {
    /// Splits at everything that is no letter or digit, folds case and width, drops English stop
    /// words, stems (Snowball English). Scripts without spaces (Chinese, Japanese, Thai, ...) are cut
    /// into overlapping pairs of characters.
    pub fn of(text: &str) -> Self {
        let folded: String = text.nfkc().collect::<String>().to_lowercase();
        let stemmer = Stemmer::create(Algorithm::English);
        let mut counts = BTreeMap::<u32, u32>::new();
        let mut add = |word: &str| *counts.entry(fnv1a(word)).or_default() += 1;
        let folded = folded.replace(['\'', '’'], "");
        for word in folded
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
        {
            if word.chars().any(is_unspaced) {
                pairs(word).for_each(|pair| add(&pair));
            } else if !STOP_WORDS.contains(&word) {
                add(&stemmer.stem(word));
            }
        }
        Self(
            counts
                .into_iter()
                .map(|(term, count)| TermCount { term, count })
                .collect(),
        )
    }

    /// Terms as they were stored; they must be in the order of their hashes.
    pub fn from_stored(mut terms: Vec<TermCount>) -> Self {
        terms.sort_by_key(|t| t.term);
        Self(terms)
    }

    /// The words, in the order of their hashes.
    pub fn counts(&self) -> &[TermCount] {
        &self.0
    }

    /// Length of the text in words, stop words left out.
    pub fn length(&self) -> u32 {
        self.0.iter().map(|t| t.count).sum()
    }

    /// Is there no word at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn pairs(word: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = word.chars().collect();
    let width = chars.len().min(2);
    (0..=chars.len() - width).map(move |i| chars[i..i + width].iter().collect())
}

fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}

fn fnv1a(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Words that say nothing about what a text is about.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been",
    "before", "being", "but", "by", "can", "could", "did", "do", "does", "doing", "dont", "for", "from", "had",
    "has", "have", "having", "he", "her", "hers", "him", "his", "how", "i", "id", "if", "ill", "im", "in", "into",
    "is", "isnt", "it", "its", "ive", "just", "me", "more", "most", "my", "no", "nor", "not", "of", "on", "or",
    "our", "ours", "out", "over", "own", "please", "she", "should", "so", "some", "such", "tell", "than", "that",
    "thats", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "too", "up", "us",
    "very", "was", "we", "were", "what", "whats", "when", "where", "which", "while", "who", "whom", "whose", "why",
    "will", "with", "would", "you", "your", "yours",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_meets_its_answer() {
        let memory = Terms::of("My dogs are called Rex and Ajax.");
        let question = Terms::of("What is my DOG’s call-name?");
        let common = question
            .counts()
            .iter()
            .filter(|q| memory.counts().iter().any(|m| m.term == q.term));
        assert_eq!(common.count(), 2, "dog and call");
    }

    #[test]
    fn stop_words_and_marks_are_no_words() {
        assert!(Terms::of("What is it, and who are you?! …").is_empty());
        assert_eq!(Terms::of("tea, TEA; ｔｅａ").counts().len(), 1);
        assert_eq!(Terms::of("tea tea coffee").length(), 3);
    }

    #[test]
    fn unspaced_scripts_are_cut_into_pairs() {
        assert_eq!(Terms::of("我喜欢茶").length(), 3);
        assert_eq!(Terms::of("茶").length(), 1);
    }
}
