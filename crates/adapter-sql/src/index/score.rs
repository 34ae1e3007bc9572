//! The arithmetic of a search.

/// Lanes of the sum: four registers of eight, so that additions do not wait for each other.
const LANES: usize = 32;

/// Weight of repetition in BM25.
const K1: f32 = 0.9;
/// Weight of length in BM25.
const B: f32 = 0.4;

/// The sum of products; of vectors of length 1, their cosine. Written so that the compiler makes
/// vector instructions of it.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Statistics of a profile's texts.
pub(super) struct Texts {
    /// How many.
    pub(super) count: usize,
    /// Their words together.
    pub(super) words: u64,
}

impl Texts {
    /// How much a word tells that occurs in `containing` of the texts.
    pub(super) fn idf(&self, containing: usize) -> f32 {
        let (all, containing) = (self.count as f32, containing as f32);
        ((all - containing + 0.5) / (containing + 0.5)).ln_1p()
    }

    /// What a word adds to the score of a text of `length` words that holds it `count` times, per
    /// unit of [`idf`](Self::idf).
    pub(super) fn weight(&self, count: u32, length: u32) -> f32 {
        let mean = self.words as f32 / self.count as f32;
        let count = count as f32;
        count / (count + K1 * (1.0 - B + B * length as f32 / mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_dot_product_is_the_sum_of_products(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..200)
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let exact: f64 = pairs.iter().map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4);
        }
    }

    #[test]
    fn a_rare_word_tells_more_than_a_common_one() {
        let texts = Texts {
            count: 10,
            words: 100,
        };
        assert!(texts.idf(1) > texts.idf(5) && texts.idf(10) > 0.0);
    }

    #[test]
    fn repetition_helps_and_length_hurts() {
        let texts = Texts {
            count: 10,
            words: 100,
        };
        assert!(texts.weight(2, 10) > texts.weight(1, 10));
        assert!(texts.weight(1, 20) < texts.weight(1, 10));
    }
}
