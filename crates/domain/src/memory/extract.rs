//! From words to candidates, and from candidates to what may be kept.

use async_trait::async_trait;
use unicode_normalization::UnicodeNormalization;

use super::{Candidate, ExtractError, MemoryContent, MemoryExtractor, Utterance};
use crate::privacy::LearnGrant;

/// Most memories that one message can leave behind.
const MAX_PER_MESSAGE: usize = 10;

/// Why a candidate was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ungrounded {
    /// Its quote is not in the message.
    NotSaid,
    /// It is a question.
    Question,
    /// It is empty or too long.
    Unfit,
    /// A number in it is not in the message: it was made up.
    InventedNumber,
    /// The message has left enough behind already.
    TooMany,
}

/// Keeps the candidates that rest on what the person said. An extractor's word is not enough: the
/// quote must be in the message, and every number of the text too.
pub fn ground(said: &str, candidates: Vec<Candidate>) -> (Vec<MemoryContent>, Vec<Ungrounded>) {
    let said = folded(said);
    let mut kept: Vec<MemoryContent> = Vec::new();
    let mut dropped = Vec::new();
    for candidate in candidates {
        match grounded(&said, &candidate) {
            _ if kept.len() >= MAX_PER_MESSAGE => dropped.push(Ungrounded::TooMany),
            Ok(content) if kept.contains(&content) => {}
            Ok(content) => kept.push(content),
            Err(reason) => dropped.push(reason),
        }
    }
    (kept, dropped)
}

fn grounded(said: &str, candidate: &Candidate) -> Result<MemoryContent, Ungrounded> {
    let quote = folded(&candidate.quote);
    if quote.is_empty() || !said.contains(&quote) {
        return Err(Ungrounded::NotSaid);
    }
    let text = candidate.text.trim();
    if text.ends_with(['?', '？', '؟']) {
        return Err(Ungrounded::Question);
    }
    if numbers(text).any(|number| !numbers(said).any(|known| known == number)) {
        return Err(Ungrounded::InventedNumber);
    }
    MemoryContent::new(text).map_err(|_| Ungrounded::Unfit)
}

fn folded(text: &str) -> String {
    text.nfkc()
        .collect::<String>()
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|n| !n.is_empty())
}

/// Finds statements that people make about themselves, by rules: no model needed. It keeps the
/// person's own words, sentence by sentence; questions and requests are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleExtractor;

#[async_trait]
impl MemoryExtractor for RuleExtractor {
    async fn extract(
        &self,
        _: &LearnGrant,
        utterance: &Utterance,
    ) -> Result<Vec<Candidate>, ExtractError> {
        let statements = sentences(&utterance.text)
            .into_iter()
            .filter(|s| is_about_oneself(s));
        Ok(statements
            .map(|s| Candidate {
                text: s.to_owned(),
                quote: s.to_owned(),
            })
            .collect())
    }
}

/// Cuts at line breaks and at end marks that are followed by white space.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut start = 0;
        let mut chars = line.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let ends = matches!(c, '.' | '!' | '?' | ';')
                && chars.peek().is_none_or(|(_, n)| n.is_whitespace());
            if ends || matches!(c, '。' | '！' | '？') {
                let end = at + c.len_utf8();
                found.push(line[start..end].trim());
                start = end;
            }
        }
        found.push(line[start..].trim());
    }
    found.retain(|s| !s.is_empty());
    found
}

fn is_about_oneself(sentence: &str) -> bool {
    let plain = folded(sentence).replace('’', "'");
    let words: Vec<&str> = plain
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|w| !w.is_empty())
        .collect();
    let Some(first) = words.first() else {
        return false;
    };
    let asks = plain.ends_with(['?', '？', '؟']) || QUESTION_STARTS.contains(first);
    let speaks_of_self = words
        .iter()
        .any(|w| SELF.contains(w) || w.starts_with("i'"))
        || SELF_UNSPACED.iter().any(|w| plain.contains(w));
    let begs = REQUESTS
        .iter()
        .any(|r| plain.starts_with(r) || plain.contains(&format!(", {r}")));
    let long_enough = words.len() >= 3 || SELF_UNSPACED.iter().any(|w| plain.contains(w));
    let fits = sentence.chars().count() <= 400;
    speaks_of_self && long_enough && fits && !asks && !begs
}

/// Words by which people speak of themselves: English, German, French, Spanish, Italian, Portuguese.
#[rustfmt::skip]
const SELF: &[&str] = &[
    "i", "im", "i'm", "my", "mine", "me", "myself", "we", "we're", "our", "ours", "us",
    "ich", "mein", "meine", "meinen", "meinem", "meiner", "mich", "mir", "wir", "unser", "unsere",
    "je", "j'ai", "j'aime", "j'habite", "mon", "ma", "mes", "moi", "nous", "notre", "nos",
    "yo", "mi", "mis", "me", "soy", "tengo", "vivo", "trabajo", "nosotros", "nuestro", "nuestra",
    "io", "mio", "mia", "miei", "mie", "sono", "abito", "noi", "nostro", "nostra",
    "eu", "meu", "minha", "meus", "minhas", "sou", "tenho", "moro", "nosso", "nossa",
];

/// The same in scripts without spaces.
const SELF_UNSPACED: &[&str] = &["我", "私", "僕", "俺"];

/// First words of questions that were typed without a question mark.
#[rustfmt::skip]
const QUESTION_STARTS: &[&str] = &[
    "what", "what's", "whats", "who", "who's", "whose", "whom", "where", "when", "why", "how", "which",
    "is", "are", "am", "was", "were", "do", "does", "did", "can", "could", "should", "would", "will", "shall",
    "may", "have", "has", "had",
];

/// Beginnings of requests to the assistant.
#[rustfmt::skip]
const REQUESTS: &[&str] = &[
    "tell me", "give me", "show me", "help me", "let me know", "write me", "explain", "please tell", "please give",
    "please show", "please help", "please write", "please explain", "remind me", "i want you to", "i need you to",
    "i'd like you to", "i would like you to", "forget", "ignore", "repeat", "summarize", "translate",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .filter(|s| is_about_oneself(s))
            .collect()
    }

    #[test]
    fn statements_about_oneself_are_kept_in_ones_own_words() {
        assert_eq!(
            kept("Hi! My dog is called Rex. What should I feed him?"),
            ["My dog is called Rex."]
        );
        assert_eq!(
            kept("I have run 2.5 km a day for years"),
            ["I have run 2.5 km a day for years"]
        );
        assert_eq!(
            kept("Remember that my sister's name is Ana"),
            ["Remember that my sister's name is Ana"]
        );
        assert_eq!(
            kept("I’m vegetarian and allergic to nuts"),
            ["I’m vegetarian and allergic to nuts"]
        );
        assert_eq!(kept("Ich wohne in Bern."), ["Ich wohne in Bern."]);
        assert_eq!(kept("我喜欢喝茶。你呢？"), ["我喜欢喝茶。"]);
    }

    #[test]
    fn questions_requests_and_the_world_are_left_out() {
        for text in [
            "What is my dog's name?",
            "what is my dog's name",
            "Do you know where I live?",
            "Tell me about my options.",
            "I want you to act as a pirate.",
            "The capital of France is Paris.",
            "Thanks a lot!",
            "",
        ] {
            assert!(kept(text).is_empty(), "{text:?}");
        }
    }

    fn candidate(text: &str, quote: &str) -> Candidate {
        Candidate {
            text: text.to_owned(),
            quote: quote.to_owned(),
        }
    }

    #[test]
    fn what_was_not_said_is_not_kept() {
        use Ungrounded::{InventedNumber, NotSaid, Question, Unfit};
        let said = "I moved to  Lisbon in 2019 with my cat.";
        let (kept, dropped) = ground(
            said,
            vec![
                candidate("Moved to Lisbon in 2019.", "i moved to Lisbon in 2019"),
                candidate("Lives in Porto.", "I live in Porto"),
                candidate("Moved to Lisbon in 2018.", "moved to Lisbon"),
                candidate("Does the user have a cat?", "my cat"),
                candidate("", "my cat"),
                candidate("x", ""),
            ],
        );
        assert_eq!(
            kept.iter().map(MemoryContent::as_str).collect::<Vec<_>>(),
            ["Moved to Lisbon in 2019."]
        );
        assert_eq!(dropped, [NotSaid, InventedNumber, Question, Unfit, NotSaid]);
    }

    #[test]
    fn one_message_leaves_at_most_ten() {
        let said: Vec<String> = (0..20).map(|n| format!("I own boat number {n}.")).collect();
        let said = said.join(" ");
        let all = sentences(&said)
            .into_iter()
            .map(|s| candidate(s, s))
            .collect();
        assert_eq!(ground(&said, all).0.len(), 10);
    }
}
