//! A search: both arms, and the score that each arm does not know of the other's hits.

use domain::ids::MemoryId;
use domain::memory::{Embedding, IndexHit, IndexQuery, Terms};
use domain::privacy::MemoryScope;
use qdrant_edge::{
    FacetRequest, FacetValue, Filter, NamedQuery, QueryEnum, QueryRequest, ScoringQuery, Vector,
    WithVector,
};

use super::collection::Collection;
use super::error::EdgeError;
use super::point::{among, field, fields, holding, memory, only, within};
use crate::alarm::Alarm;
use crate::hits::{Found, Hits, best, candidates};
use crate::point::{COUNTS, Fields, LENGTH, MEANING, PROFILE, TERMS, USER, WITH_VECTOR, WORDS};
use crate::words::Statistics;

/// Different lengths, or words, that are counted at most: more than a profile has.
const VALUES: usize = 1 << 16;

/// One search in one collection.
pub(crate) struct Search<'a> {
    pub(crate) collection: &'a Collection,
    pub(crate) scope: MemoryScope,
    pub(crate) alarm: &'a Alarm,
}

impl Search<'_> {
    /// The best of each kind, each once, with both scores.
    pub(crate) fn run(&self, query: &IndexQuery) -> Result<Vec<IndexHit>, EdgeError> {
        let by_meaning = match &query.embedding {
            Some(embedding) => self.by_meaning(embedding, query.limit, within(self.scope))?,
            None => Vec::new(),
        };
        let statistics = self.statistics(&query.terms)?;
        let by_words = self.by_words(&statistics, &query.terms, query.limit)?;
        let mut hits = Hits::of(&by_meaning, &by_words, &statistics, &query.terms);
        if let Some(embedding) = &query.embedding
            && !hits.lacking.is_empty()
        {
            let lacking: &[MemoryId] = &hits.lacking;
            let filter = among(self.scope, lacking);
            let cosines = self.by_meaning(embedding, lacking.len(), filter)?;
            hits.add_cosines(&cosines);
        }
        Ok(hits.all())
    }

    /// The nearest by vector.
    fn by_meaning(
        &self,
        embedding: &Embedding,
        limit: usize,
        filter: Filter,
    ) -> Result<Vec<Found>, EdgeError> {
        // An index without a space has words alone.
        if self.collection.space.is_none() {
            return Ok(Vec::new());
        }
        let asked = Vector::new_dense(embedding.values());
        self.nearest(MEANING, asked, filter, limit)
    }

    /// The best by BM25. The stored weights find candidates; the scores are reckoned anew.
    fn by_words(
        &self,
        statistics: &Statistics,
        terms: &Terms,
        limit: usize,
    ) -> Result<Vec<Found>, EdgeError> {
        let (indices, values) = statistics.query(terms);
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Vector::new_sparse(indices, values)?;
        let found = self.nearest(WORDS, asked, within(self.scope), candidates(limit))?;
        Ok(best(found, statistics, terms, limit))
    }

    fn nearest(
        &self,
        using: &str,
        asked: Vector,
        filter: Filter,
        limit: usize,
    ) -> Result<Vec<Found>, EdgeError> {
        let nearest = QueryEnum::Nearest(NamedQuery {
            query: asked.into(),
            using: Some(using.to_owned()),
        });
        let request = QueryRequest {
            prefetches: Vec::new(),
            query: Some(ScoringQuery::Vector(nearest)),
            filter: Some(filter),
            score_threshold: None,
            limit,
            offset: 0,
            params: None,
            with_vector: WithVector::Bool(false),
            with_payload: only(&[USER, PROFILE, WITH_VECTOR, TERMS, COUNTS]),
        };
        let points = self.collection.shard.query(request)?.into_iter();
        let ours = points.filter_map(|point| {
            let payload = fields(point.payload);
            let fields = Fields(&payload);
            Found::within(
                self.scope,
                memory(point.id),
                point.score,
                &fields,
                self.alarm,
            )
        });
        Ok(ours.collect())
    }

    /// The profile's statistics for these words, counted by the engine.
    fn statistics(&self, terms: &Terms) -> Result<Statistics, EdgeError> {
        if terms.is_empty() {
            return Ok(Statistics::default());
        }
        let lengths = self.facet(LENGTH, within(self.scope))?;
        let words = self.facet(TERMS, holding(self.scope, terms))?;
        Ok(Statistics::counted(terms, lengths, words))
    }

    /// How many points have each value of a field.
    fn facet(&self, key: &str, filter: Filter) -> Result<Vec<(i64, u64)>, EdgeError> {
        let request = FacetRequest {
            key: field(key),
            limit: VALUES,
            filter: Some(filter),
            exact: true,
        };
        let hits = self.collection.shard.facet(request)?.hits.into_iter();
        let counts = hits.filter_map(|hit| match hit.value {
            FacetValue::Int(number) => Some((number, u64::try_from(hit.count).ok()?)),
            FacetValue::Keyword(_) | FacetValue::Uuid(_) | FacetValue::Bool(_) => None,
        });
        Ok(counts.collect())
    }
}
