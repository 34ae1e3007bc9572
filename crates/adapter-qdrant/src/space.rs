//! Vectors of two embedding spaces are never mixed.

use domain::memory::{Embedding, EmbeddingSpace, IndexError};

/// Refuses vectors of another space than the recorded one, and of another length. `adopted` is the space
/// that this process embeds in, once it has said so.
pub(crate) fn check<'a>(
    recorded: Option<&EmbeddingSpace>,
    adopted: Option<&EmbeddingSpace>,
    mut vectors: impl Iterator<Item = &'a Embedding>,
) -> Result<(), IndexError> {
    let Some(first) = vectors.next() else {
        return Ok(());
    };
    let Some(space) = recorded else {
        let reason = "no embedding space is recorded";
        return Err(IndexError::Unavailable(reason.into()));
    };
    let foreign = adopted.is_some_and(|own| own != space);
    let mut all = std::iter::once(first).chain(vectors);
    if foreign || all.any(|vector| vector.dimension() != space.dimension) {
        let recorded = space.clone();
        return Err(IndexError::WrongSpace { recorded });
    }
    Ok(())
}
