//! Scores, computed exactly.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use qdrant_client::qdrant::query::Variant as QueryVariant;
use qdrant_client::qdrant::vector_input::Variant as InputVariant;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions as PayloadOptions;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions as VectorOptions;
use qdrant_client::qdrant::{
    DenseVector, NamedVectorsOutput, QueryPoints, ScoredPoint, SparseVector, Value, VectorOutput,
    VectorsOutput, WithPayloadSelector, WithVectorsSelector, vector_output,
};
use tonic::Status;
use uuid::Uuid;

use super::filter::passes;
use super::state::{Collection, Point, Stored, id_of};
use super::validation::{at_least_one, check_filter, dense, sparse};

/// The nearest points to a dense or sparse vector.
pub(super) fn search(
    collection: &Collection,
    query: &QueryPoints,
    ignore_filter: bool,
) -> Result<Vec<ScoredPoint>, Status> {
    at_least_one("limit", query.limit)?;
    check_filter(collection, query.filter.as_ref())?;
    let name = query.using.as_deref().unwrap_or_default();
    let asked = asked(collection, query, name)?;
    let is_dense = matches!(asked, Stored::Dense(_));
    let filter = query.filter.as_ref().filter(|_| !ignore_filter);
    let unfiltered = query
        .filter
        .as_ref()
        .is_none_or(|filter| filter.must.is_empty());
    if is_dense && unfiltered && collection.is_for_tenants() {
        return Ok(Vec::new());
    }
    let mut scored = Vec::new();
    for (id, point) in &collection.points {
        let stored = point.vectors.get(name);
        let Some(score) = stored.and_then(|stored| score(&asked, stored)) else {
            continue;
        };
        let is_near = query.score_threshold.is_none_or(|least| score >= least);
        if is_near && passes(filter, *id, point)? {
            scored.push((*id, point, score));
        }
    }
    // Of equal scores nobody knows which comes first.
    scored.sort_by(|a, b| {
        b.2.total_cmp(&a.2)
            .then(scrambled(a.0).cmp(&scrambled(b.0)))
    });
    let offset = usize::try_from(query.offset.unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = usize::try_from(query.limit.unwrap_or(10)).unwrap_or(usize::MAX);
    let page = scored.into_iter().skip(offset).take(limit);
    let show = |(id, point, score): (Uuid, &Arc<Point>, f32)| ScoredPoint {
        id: Some(id_of(id)),
        payload: shown(point, query.with_payload.as_ref()),
        score,
        vectors: vectors_of(point, query.with_vectors.as_ref()),
        ..ScoredPoint::default()
    };
    Ok(page.map(show).collect())
}

/// An order that has nothing to do with that of the ids.
fn scrambled(id: Uuid) -> u128 {
    id.as_u128()
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .rotate_left(64)
}

fn asked(collection: &Collection, query: &QueryPoints, name: &str) -> Result<Stored, Status> {
    if !query.prefetch.is_empty() {
        return Err(Status::unimplemented("prefetch"));
    }
    let unknown = || Status::invalid_argument(format!("Not existing vector name error: {name}"));
    let variant = query
        .query
        .as_ref()
        .and_then(|query| query.variant.as_ref());
    let Some(QueryVariant::Nearest(input)) = variant else {
        return Err(Status::unimplemented(format!("query {variant:?}")));
    };
    match &input.variant {
        Some(InputVariant::Dense(given)) => {
            dense(collection.dense(name).ok_or_else(unknown)?, &given.data)
        }
        Some(InputVariant::Sparse(given)) if collection.has_sparse(name) => sparse(given),
        Some(InputVariant::Sparse(_)) => Err(unknown()),
        other => Err(Status::unimplemented(format!("input {other:?}"))),
    }
}

/// The dot product; `None` where a sparse one has no common index.
fn score(asked: &Stored, stored: &Stored) -> Option<f32> {
    match (asked, stored) {
        (Stored::Dense(a), Stored::Dense(b)) => Some(a.iter().zip(b).map(|(x, y)| x * y).sum()),
        (Stored::Sparse(a), Stored::Sparse(b)) => {
            let common: BTreeMap<_, _> = a
                .iter()
                .filter(|(index, _)| b.contains_key(index))
                .collect();
            (!common.is_empty()).then(|| common.iter().map(|(index, x)| **x * b[index]).sum())
        }
        _ => None,
    }
}

/// The fields of a point that were asked for.
pub(super) fn shown(
    point: &Point,
    selector: Option<&WithPayloadSelector>,
) -> HashMap<String, Value> {
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        Some(PayloadOptions::Enable(true)) => point.payload.clone(),
        Some(PayloadOptions::Include(include)) => {
            let wanted = point
                .payload
                .iter()
                .filter(|(name, _)| include.fields.contains(name));
            wanted
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        }
        Some(PayloadOptions::Exclude(exclude)) => {
            let wanted = point
                .payload
                .iter()
                .filter(|(name, _)| !exclude.fields.contains(name));
            wanted
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        }
        Some(PayloadOptions::Enable(false)) | None => HashMap::new(),
    }
}

/// The vectors of a point that were asked for.
pub(super) fn vectors_of(
    point: &Point,
    selector: Option<&WithVectorsSelector>,
) -> Option<VectorsOutput> {
    let wanted = |name: &String| match selector.and_then(|s| s.selector_options.as_ref()) {
        Some(VectorOptions::Enable(all)) => *all,
        Some(VectorOptions::Include(include)) => include.names.contains(name),
        None => false,
    };
    let vectors: HashMap<String, VectorOutput> = point
        .vectors
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, stored)| (name.clone(), output(stored)))
        .collect();
    let named = VectorsOptions::Vectors(NamedVectorsOutput { vectors });
    selector.map(|_| VectorsOutput {
        vectors_options: Some(named),
    })
}

fn output(stored: &Stored) -> VectorOutput {
    let vector = match stored {
        Stored::Dense(data) => vector_output::Vector::Dense(DenseVector { data: data.clone() }),
        Stored::Sparse(pairs) => vector_output::Vector::Sparse(SparseVector {
            indices: pairs.keys().copied().collect(),
            values: pairs.values().copied().collect(),
        }),
    };
    VectorOutput {
        vector: Some(vector),
        ..VectorOutput::default()
    }
}
