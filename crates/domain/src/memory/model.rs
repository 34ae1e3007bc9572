//! A memory as a value.

use time::OffsetDateTime;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::ids::{MemoryId, MessageId, SessionId};
use crate::privacy::MemoryScope;

/// How a memory came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Learned from a message.
    Extracted,
    /// Written by the owner.
    Manual,
    /// Copied by the owner from another profile.
    Copied,
}

impl Origin {
    /// The origin's name on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Extracted => "extracted",
            Self::Manual => "manual",
            Self::Copied => "copied",
        }
    }

    /// The origin of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Extracted, Self::Manual, Self::Copied]
            .into_iter()
            .find(|o| o.as_str() == text)
    }
}

/// The text of a memory: 1 to 2,000 characters on one line.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MemoryContent(String);

/// Empty, too long, or with a character that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a memory has 1 to 2000 characters")]
pub struct BadMemory;

impl MemoryContent {
    /// Longest text, in characters.
    pub const MAX_CHARS: usize = 2000;

    /// Folds white space, drops invisible control characters, checks the length.
    pub fn new(text: &str) -> Result<Self, BadMemory> {
        if text.contains('\0') {
            return Err(BadMemory);
        }
        let visible: String = text
            .chars()
            .filter(|c| c.is_whitespace() || !is_invisible(*c))
            .collect();
        let folded = visible.split_whitespace().collect::<Vec<_>>().join(" ");
        if folded.is_empty() || folded.chars().count() > Self::MAX_CHARS {
            return Err(BadMemory);
        }
        Ok(Self(folded))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same number for the same statement in other spelling (case, width, spaces, end mark): one
    /// profile holds one memory per fingerprint.
    pub fn fingerprint(&self) -> Uuid {
        const NAMESPACE: Uuid = Uuid::from_u128(0x6d65_6d6f_7279_6368_6174_2066_7072_696e);
        let plain: String = self.0.nfkc().collect::<String>().to_lowercase();
        let plain = plain.trim_end_matches(['.', '!', '…', ' ']);
        Uuid::new_v5(&NAMESPACE, plain.as_bytes())
    }
}

impl std::fmt::Debug for MemoryContent {
    /// What people told stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryContent({} bytes)", self.0.len())
    }
}

/// Control, zero-width, bidirectional and tag characters: they hide text from the person who reads it.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// The message a memory was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySource {
    /// Its session.
    pub session: SessionId,
    /// The message.
    pub message: MessageId,
}

/// Something remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Its id; also the id of its point in the index.
    pub id: MemoryId,
    /// Whose, and in which profile.
    pub scope: MemoryScope,
    /// What.
    pub content: MemoryContent,
    /// How it came to be.
    pub origin: Origin,
    /// The message it was drawn from; none when written by hand, or when that message was deleted.
    pub source: Option<MemorySource>,
    /// 1, and one more with each change.
    pub version: u32,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

/// A memory that answers a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// The memory, as it stands in the database.
    pub memory: Memory,
    /// How well it fits: higher is better; comparable within one search only.
    pub score: f32,
}

/// What an extractor proposes to remember.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The statement.
    pub text: String,
    /// The words of the message it rests on.
    pub quote: String,
}

/// The model that made a vector, and its length. Vectors of two spaces are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmbeddingSpace {
    /// Name and version of the model.
    pub model: String,
    /// Length of its vectors.
    pub dimension: usize,
}

/// A text's place in an embedding space: a vector of length 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Scales to length 1; `None` for an empty vector, for zeros, or where a number is not finite.
    pub fn new(mut values: Vec<f32>) -> Option<Self> {
        let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        if !norm.is_finite() || norm <= f32::EPSILON {
            return None;
        }
        for value in &mut values {
            *value /= norm;
        }
        Some(Self(values))
    }

    /// The numbers.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// How many.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_has_one_fingerprint() {
        let print = |text: &str| MemoryContent::new(text).map(|c| c.fingerprint());
        assert_eq!(
            print("My dog is called Rex."),
            print("  my dog  is called\nREX")
        );
        assert_ne!(
            print("My dog is called Rex."),
            print("My dog is called Max.")
        );
    }

    #[test]
    fn content_is_visible_bounded_text() {
        assert_eq!(
            MemoryContent::new("a\u{200B}b\u{E0041}c").map(|c| c.0),
            Ok("abc".to_owned())
        );
        for text in ["", " \n\t ", "\u{200B}", "a\0b", &"x".repeat(2001)] {
            assert_eq!(MemoryContent::new(text), Err(BadMemory), "{text:?}");
        }
    }

    #[test]
    fn a_vector_has_length_one_or_is_none() {
        assert_eq!(
            Embedding::new(vec![3.0, 4.0]),
            Some(Embedding(vec![0.6, 0.8]))
        );
        for values in [
            vec![],
            vec![0.0, 0.0],
            vec![f32::NAN, 1.0],
            vec![f32::INFINITY],
        ] {
            assert_eq!(Embedding::new(values), None);
        }
    }
}
