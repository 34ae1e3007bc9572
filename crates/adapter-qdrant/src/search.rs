//! A search: both arms, and the score that each arm does not know of the other's hits.

use domain::ids::MemoryId;
use domain::memory::{Embedding, IndexHit, IndexQuery, Terms};
use domain::privacy::MemoryScope;
use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::{
    Condition, FacetCounts, Filter, Query, QueryPoints, ScoredPoint, SparseVector, VectorInput,
    vector_input,
};
use tokio::time::Instant;

use crate::client::CallError;
use crate::hits::{Found, Hits, best, candidates};
use crate::index::Shared;
use crate::point::{
    COUNTS, Fields, LENGTH, MEANING, PROFILE, TERMS, USER, WITH_VECTOR, WORDS, among, memory,
    within,
};
use crate::words::Statistics;
use crate::write::only;

/// Different lengths, or words, that are counted at most: more than a profile has.
const VALUES: u64 = 1 << 16;

/// One search in one collection.
struct Search<'a> {
    shared: &'a Shared,
    collection: &'a str,
    scope: MemoryScope,
    deadline: Instant,
}

impl Shared {
    /// The best of each kind, each once, with both scores.
    pub(crate) async fn search(
        &self,
        collection: &str,
        scope: MemoryScope,
        query: &IndexQuery,
        deadline: Instant,
    ) -> Result<Vec<IndexHit>, CallError> {
        let search = Search {
            shared: self,
            collection,
            scope,
            deadline,
        };
        let by_meaning = async {
            match &query.embedding {
                Some(embedding) => search.by_meaning(embedding, query.limit, None).await,
                None => Ok(Vec::new()),
            }
        };
        let (by_meaning, statistics) =
            tokio::try_join!(by_meaning, search.statistics(&query.terms))?;
        let by_words = search
            .by_words(&statistics, &query.terms, query.limit)
            .await?;

        let mut hits = Hits::of(&by_meaning, &by_words, &statistics, &query.terms);
        if let Some(embedding) = query
            .embedding
            .as_ref()
            .filter(|_| !hits.lacking.is_empty())
        {
            let limit = hits.lacking.len();
            let lacking = search.by_meaning(embedding, limit, Some(&hits.lacking));
            hits.add_cosines(&lacking.await?);
        }
        Ok(hits.all())
    }
}

impl Search<'_> {
    /// The nearest by vector, of all or of some.
    async fn by_meaning(
        &self,
        embedding: &Embedding,
        limit: usize,
        some: Option<&[MemoryId]>,
    ) -> Result<Vec<Found>, CallError> {
        let filter = match some {
            Some(some) => among(self.scope, some),
            None => within(self.scope),
        };
        let asked = VectorInput::from(embedding.values().to_vec());
        self.nearest(MEANING, asked, filter, limit).await
    }

    /// The best by BM25. The stored weights find candidates; the scores are reckoned anew.
    async fn by_words(
        &self,
        statistics: &Statistics,
        terms: &Terms,
        limit: usize,
    ) -> Result<Vec<Found>, CallError> {
        let (indices, values) = statistics.query(terms);
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let sparse = SparseVector { values, indices };
        let asked = VectorInput {
            variant: Some(vector_input::Variant::Sparse(sparse)),
        };
        let found = self
            .nearest(WORDS, asked, within(self.scope), candidates(limit))
            .await?;
        Ok(best(found, statistics, terms, limit))
    }

    async fn nearest(
        &self,
        using: &str,
        asked: VectorInput,
        filter: Filter,
        limit: usize,
    ) -> Result<Vec<Found>, CallError> {
        let request = QueryPoints {
            collection_name: self.collection.to_owned(),
            query: Some(Query::from(asked)),
            using: Some(using.to_owned()),
            filter: Some(filter),
            limit: Some(limit as u64),
            with_payload: Some(only(&[USER, PROFILE, WITH_VECTOR, TERMS, COUNTS])),
            with_vectors: Some(false.into()),
            ..QueryPoints::default()
        };
        let answer = self
            .shared
            .client
            .ask("query", self.deadline, |q| q.query(request));
        let points = answer.await?.result;
        let ours = |point: &ScoredPoint| {
            let fields = Fields(&point.payload);
            let memory = memory(point.id.as_ref());
            Found::within(self.scope, memory, point.score, &fields, &self.shared.alarm)
        };
        Ok(points.iter().filter_map(ours).collect())
    }

    /// The profile's statistics for these words, counted by the server.
    async fn statistics(&self, terms: &Terms) -> Result<Statistics, CallError> {
        if terms.is_empty() {
            return Ok(Statistics::default());
        }
        let asked: Vec<i64> = terms.counts().iter().map(|t| i64::from(t.term)).collect();
        let mut holding = within(self.scope);
        holding.must.push(Condition::matches(TERMS, asked));
        let (lengths, words) = tokio::try_join!(
            self.facet(LENGTH, within(self.scope)),
            self.facet(TERMS, holding),
        )?;
        Ok(Statistics::counted(terms, lengths, words))
    }

    /// How many points have each value of a field.
    async fn facet(&self, key: &str, filter: Filter) -> Result<Vec<(i64, u64)>, CallError> {
        let request = FacetCounts {
            collection_name: self.collection.to_owned(),
            key: key.to_owned(),
            filter: Some(filter),
            limit: Some(VALUES),
            exact: Some(true),
            ..FacetCounts::default()
        };
        let answer = self
            .shared
            .client
            .ask("facet", self.deadline, |q| q.facet(request));
        let hits = answer.await?.hits.into_iter();
        let value = |hit: qdrant_client::qdrant::FacetHit| match hit.value?.variant? {
            Variant::IntegerValue(number) => Some((number, hit.count)),
            _ => None,
        };
        Ok(hits.filter_map(value).collect())
    }
}
