//! The words of a memory as a sparse vector, and BM25.
//!
//! A document's weight for a word, `tf / (tf + k1 (1 - b + b length / mean))`, depends on the mean length
//! of the profile's texts, which moves with every write. So what is stored uses one fixed mean,
//! [`NOMINAL_MEAN`], and serves to find candidates, somewhat more than were asked for; what is reported
//! is reckoned anew from the counts in the payload, over the profile's statistics of that moment.

use std::collections::HashMap;

use domain::memory::Terms;

/// Weight of repetition.
const K1: f32 = 0.9;
/// Weight of length.
const B: f32 = 0.4;

/// The mean length, in words, that stored weights assume: short statements. With `b = 0.4` a profile of
/// twice or half that length changes a weight by less than a quarter.
const NOMINAL_MEAN: f32 = 8.0;

fn weight(count: u32, length: u32, mean: f32) -> f32 {
    let count = count as f32;
    count / (count + K1 * (1.0 - B + B * length as f32 / mean))
}

/// The document side: an index and a weight for each word.
pub(crate) fn document(terms: &Terms) -> (Vec<u32>, Vec<f32>) {
    let length = terms.length();
    let word =
        |word: &domain::memory::TermCount| (word.term, weight(word.count, length, NOMINAL_MEAN));
    terms.counts().iter().map(word).unzip()
}

/// Statistics of the profile, as far as a question needs them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Statistics {
    /// How many texts.
    pub(crate) texts: u64,
    /// Their words together.
    pub(crate) words: u64,
    /// In how many texts a word occurs.
    pub(crate) containing: HashMap<u32, u64>,
}

impl Statistics {
    /// From what was counted: how many texts there are of each length, and with each of the words.
    pub(crate) fn counted(
        asked: &Terms,
        lengths: impl IntoIterator<Item = (i64, u64)>,
        words: impl IntoIterator<Item = (i64, u64)>,
    ) -> Self {
        let mut statistics = Self::default();
        for (length, texts) in lengths {
            statistics.texts += texts;
            statistics.words += texts * u64::try_from(length).unwrap_or(0);
        }
        // A text that holds a word asked for holds others too.
        let asked = |term: &u32| asked.counts().iter().any(|word| word.term == *term);
        let words = words.into_iter();
        let known = words.filter_map(|(term, texts)| Some((u32::try_from(term).ok()?, texts)));
        statistics.containing = known.filter(|(term, _)| asked(term)).collect();
        statistics
    }

    /// The query side: an index and the word's own weight, for words that occur at all.
    pub(crate) fn query(&self, terms: &Terms) -> (Vec<u32>, Vec<f32>) {
        let known = terms.counts().iter().filter_map(|word| {
            let containing = *self.containing.get(&word.term)?;
            Some((word.term, self.idf(containing)))
        });
        known.unzip()
    }

    fn idf(&self, containing: u64) -> f32 {
        let (all, containing) = (self.texts as f32, containing as f32);
        ((all - containing + 0.5) / (containing + 0.5)).ln_1p()
    }

    /// BM25 of a text with these words.
    pub(crate) fn score(&self, question: &Terms, text: &Terms) -> f32 {
        // Nobody was counted yet where a text was written just now.
        let mean = self.words.max(1) as f32 / self.texts.max(1) as f32;
        let length = text.length();
        let mut score = 0.0;
        for word in question.counts() {
            let place = text.counts().binary_search_by_key(&word.term, |t| t.term);
            // A text that was written since the statistics were taken counts as one that holds its word.
            if let Ok(place) = place {
                let containing = self.containing.get(&word.term).copied().unwrap_or(1);
                score += self.idf(containing) * weight(text.counts()[place].count, length, mean);
            }
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statistics over texts, as the server would count them.
    fn over(texts: &[&str]) -> Statistics {
        let mut statistics = Statistics::default();
        for text in texts.iter().map(|text| Terms::of(text)) {
            statistics.texts += 1;
            statistics.words += u64::from(text.length());
            for word in text.counts() {
                *statistics.containing.entry(word.term).or_default() += 1;
            }
        }
        statistics
    }

    #[test]
    fn where_the_mean_is_the_nominal_one_the_dot_product_is_the_score() {
        let texts = [
            "red green blue black white pink grey brown",
            "red red red apples taste fine every morning",
        ];
        let statistics = over(&texts);
        assert_eq!(statistics.words, 16);
        let question = Terms::of("red apples");
        let (asked, weights) = statistics.query(&question);
        for text in texts.map(Terms::of) {
            let (indices, values) = document(&text);
            let pairs = asked.iter().zip(&weights);
            let dot: f32 = pairs
                .filter_map(|(term, idf)| {
                    let place = indices.iter().position(|index| index == term)?;
                    Some(idf * values[place])
                })
                .sum();
            assert!((dot - statistics.score(&question, &text)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_word_that_nobody_said_is_not_asked_for() {
        let (asked, _) = over(&["red apples"]).query(&Terms::of("submarine"));
        assert!(asked.is_empty());
    }
}
