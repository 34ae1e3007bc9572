//! The scores by their definitions, slowly.

use domain::memory::{Embedding, Terms};

/// BM25 as Robertson and Zaragoza (2009) write it, without the constant factor `k1 + 1` that changes
/// no order. `N`, `df` and the mean length are those of the documents given, and a word that the query
/// repeats counts once.
pub(super) fn bm25(query: &Terms, document: &Terms, all: &[Terms]) -> f32 {
    const K1: f64 = 0.9;
    const B: f64 = 0.4;
    let n = all.len() as f64;
    let mean_length = all.iter().map(|d| f64::from(d.length())).sum::<f64>() / n;
    let norm = K1 * (1.0 - B + B * f64::from(document.length()) / mean_length);
    let score: f64 = query
        .counts()
        .iter()
        .map(|word| {
            let tf = f64::from(count(document, word.term));
            let df = all.iter().filter(|d| count(d, word.term) > 0).count() as f64;
            let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
            idf * tf / (tf + norm)
        })
        .sum();
    narrow(score)
}

/// The cosine of two vectors of length 1.
pub(super) fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    let products = a
        .values()
        .iter()
        .zip(b.values())
        .map(|(x, y)| f64::from(*x) * f64::from(*y));
    narrow(products.sum())
}

fn count(document: &Terms, term: u32) -> u32 {
    document
        .counts()
        .iter()
        .find(|t| t.term == term)
        .map_or(0, |t| t.count)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "scores are compared as f32"
)]
fn narrow(score: f64) -> f32 {
    score as f32
}
