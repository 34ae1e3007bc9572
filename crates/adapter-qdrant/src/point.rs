//! Memories as points, and back.

use std::collections::HashMap;

use domain::ids::{MemoryId, ProfileId, UserId};
use domain::memory::{IndexEntry, TermCount, Terms};
use domain::privacy::MemoryScope;
use qdrant_client::Payload;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{
    Condition, DenseVector, Filter, NamedVectors, PointId, PointStruct, RetrievedPoint,
    SparseVector, Value, Vector, vector, vector_output,
};
use uuid::Uuid;

use crate::words;

/// The dense vector.
pub(crate) const MEANING: &str = "meaning";
/// The sparse vector.
pub(crate) const WORDS: &str = "words";

/// Payload: the owner.
pub(crate) const USER: &str = "user";
/// Payload: the profile.
pub(crate) const PROFILE: &str = "profile";
/// Payload: the version of the memory.
pub(crate) const VERSION: &str = "version";
/// Payload: is there a dense vector?
pub(crate) const WITH_VECTOR: &str = "with_vector";
/// Payload: hashes of the words.
pub(crate) const TERMS: &str = "terms";
/// Payload: how often each of them occurs.
pub(crate) const COUNTS: &str = "counts";
/// Payload: how many words there are.
pub(crate) const LENGTH: &str = "length";

/// Lets the points of one scope through; part of every query.
pub(crate) fn within(scope: MemoryScope) -> Filter {
    Filter::must([
        Condition::matches(USER, scope.user.to_string()),
        Condition::matches(PROFILE, scope.profile.to_string()),
    ])
}

/// Lets these points of one scope through.
pub(crate) fn among(scope: MemoryScope, memories: &[MemoryId]) -> Filter {
    let mut filter = within(scope);
    filter.must.push(Condition::has_id(ids(memories)));
    filter
}

/// The ids of points.
pub(crate) fn ids(memories: &[MemoryId]) -> Vec<PointId> {
    memories.iter().map(|memory| id(*memory)).collect()
}

/// The id of a memory's point.
pub(crate) fn id(memory: MemoryId) -> PointId {
    PointId {
        point_id_options: Some(PointIdOptions::Uuid(memory.to_string())),
    }
}

/// The memory of a point; `None` for a point that is none of ours.
pub(crate) fn memory(id: Option<&PointId>) -> Option<MemoryId> {
    match id?.point_id_options.as_ref()? {
        PointIdOptions::Uuid(text) => text.parse().ok().map(MemoryId::new),
        PointIdOptions::Num(_) => None,
    }
}

/// The payload of an entry's point.
pub(crate) fn payload(scope: MemoryScope, entry: &IndexEntry) -> HashMap<String, Value> {
    let counts = entry.terms.counts();
    let mut payload = Payload::new();
    payload.insert(USER, scope.user.to_string());
    payload.insert(PROFILE, scope.profile.to_string());
    payload.insert(VERSION, i64::from(entry.version));
    payload.insert(WITH_VECTOR, entry.embedding.is_some());
    payload.insert(TERMS, numbers(counts.iter().map(|word| word.term)));
    payload.insert(COUNTS, numbers(counts.iter().map(|word| word.count)));
    payload.insert(LENGTH, i64::from(entry.terms.length()));
    payload.into()
}

/// The point of an entry.
pub(crate) fn point(scope: MemoryScope, entry: &IndexEntry) -> PointStruct {
    let mut vectors = HashMap::new();
    if let Some(embedding) = &entry.embedding {
        let data = embedding.values().to_vec();
        vectors.insert(
            MEANING.to_owned(),
            named(vector::Vector::Dense(DenseVector { data })),
        );
    }
    if !entry.terms.is_empty() {
        let (indices, values) = words::document(&entry.terms);
        let sparse = SparseVector { values, indices };
        vectors.insert(WORDS.to_owned(), named(vector::Vector::Sparse(sparse)));
    }
    PointStruct {
        id: Some(id(entry.memory)),
        payload: payload(scope, entry),
        vectors: Some(NamedVectors { vectors }.into()),
    }
}

/// A point that was read, to be written again.
pub(crate) fn again(read: RetrievedPoint) -> PointStruct {
    let named = match read.vectors.and_then(|vectors| vectors.vectors_options) {
        Some(VectorsOptions::Vectors(named)) => named.vectors,
        _ => HashMap::new(),
    };
    let vectors = named.into_iter().filter_map(|(name, output)| {
        let vector = match output.into_vector() {
            vector_output::Vector::Dense(dense) => vector::Vector::Dense(dense),
            vector_output::Vector::Sparse(sparse) => vector::Vector::Sparse(sparse),
            vector_output::Vector::MultiDense(_) => return None,
        };
        Some((name, self::named(vector)))
    });
    let vectors = vectors.collect();
    PointStruct {
        id: read.id,
        payload: read.payload,
        vectors: Some(NamedVectors { vectors }.into()),
    }
}

/// A vector as it is sent.
pub(crate) fn named(vector: vector::Vector) -> Vector {
    Vector {
        vector: Some(vector),
        ..Vector::default()
    }
}

fn numbers(numbers: impl Iterator<Item = u32>) -> Vec<Value> {
    numbers
        .map(|number| Value::from(i64::from(number)))
        .collect()
}

/// Fields of a point as the server returned them.
pub(crate) struct Fields<'a>(pub(crate) &'a HashMap<String, Value>);

impl Fields<'_> {
    /// Whose it is.
    pub(crate) fn scope(&self) -> Option<MemoryScope> {
        let uuid = |name| match self.0.get(name)?.kind.as_ref()? {
            Kind::StringValue(text) => text.parse::<Uuid>().ok(),
            _ => None,
        };
        Some(MemoryScope {
            user: UserId::new(uuid(USER)?),
            profile: ProfileId::new(uuid(PROFILE)?),
        })
    }

    /// The version of the memory; 0 where it is not told, which no memory has.
    pub(crate) fn version(&self) -> u32 {
        let version = self.0.get(VERSION).and_then(number);
        version.unwrap_or(0)
    }

    /// Has it a dense vector?
    pub(crate) fn with_vector(&self) -> bool {
        let kind = self
            .0
            .get(WITH_VECTOR)
            .and_then(|value| value.kind.as_ref());
        kind == Some(&Kind::BoolValue(true))
    }

    /// Its words.
    pub(crate) fn terms(&self) -> Terms {
        let list = |name| match self.0.get(name).and_then(|value| value.kind.as_ref()) {
            Some(Kind::ListValue(list)) => &list.values[..],
            _ => &[],
        };
        let (terms, counts) = (list(TERMS), list(COUNTS));
        let pairs = terms.iter().zip(counts).filter_map(|(term, count)| {
            Some(TermCount {
                term: number(term)?,
                count: number(count)?,
            })
        });
        Terms::from_stored(pairs.collect())
    }
}

fn number(value: &Value) -> Option<u32> {
    match value.kind {
        Some(Kind::IntegerValue(number)) => u32::try_from(number).ok(),
        _ => None,
    }
}
