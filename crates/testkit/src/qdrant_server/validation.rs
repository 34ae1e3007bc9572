//! What Qdrant refuses before it looks at a point; and, as in its strict mode, filters over fields without
//! an index.

use std::collections::{BTreeMap, HashSet};

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    Condition, CreateCollection, FieldCondition, FieldType, Filter, Modifier, PayloadIndexParams,
    SparseVector, VectorParams,
};
use tonic::Status;

use super::state::{Collection, Stored};

/// The longest name of a collection.
const NAME: usize = 255;

/// The longest vector.
const DIMENSIONS: u64 = 65_536;

fn refused(field: &str, why: &str) -> Status {
    Status::invalid_argument(format!("Validation error in body: [{field}: {why}]"))
}

/// Refuses nought, of what may be left out.
pub(super) fn at_least_one(field: &str, number: Option<impl Into<u64>>) -> Result<(), Status> {
    match number.map(Into::into) {
        Some(0) => Err(refused(field, "value 0 invalid, must be 1 or larger")),
        _ => Ok(()),
    }
}

/// Refuses what no collection can be made like.
pub(super) fn check_collection(config: &CreateCollection) -> Result<(), Status> {
    let name = &config.collection_name;
    if name.is_empty() || name.len() > NAME || name.contains(['/', '\\', ':', '*', '?', '\0']) {
        return Err(refused("collection_name", "not a name"));
    }
    at_least_one("shard_number", config.shard_number)?;
    at_least_one("replication_factor", config.replication_factor)?;
    at_least_one("write_consistency_factor", config.write_consistency_factor)?;
    let dense = config
        .vectors_config
        .as_ref()
        .and_then(|c| c.config.as_ref());
    let dense: Vec<&VectorParams> = match dense {
        Some(Config::Params(params)) => vec![params],
        Some(Config::ParamsMap(map)) => map.map.values().collect(),
        None => Vec::new(),
    };
    if dense.iter().any(|d| !(1..=DIMENSIONS).contains(&d.size)) {
        return Err(refused("size", "must be from 1 to 65536"));
    }
    let sparse = config
        .sparse_vectors_config
        .iter()
        .flat_map(|c| c.map.values());
    if sparse.into_iter().any(|s| s.modifier() != Modifier::None) {
        return Err(Status::unimplemented("a modifier of sparse vectors"));
    }
    Ok(())
}

/// A dense vector at length 1; one without a length stays as it is.
pub(super) fn dense(params: &VectorParams, data: &[f32]) -> Result<Stored, Status> {
    let (size, given) = (params.size, data.len());
    if size != given as u64 {
        let text = format!("Vector dimension error: expected dim: {size}, got {given}");
        return Err(Status::invalid_argument(text));
    }
    let norm = data.iter().map(|x| x * x).sum::<f32>().sqrt();
    let norm = if norm < f32::EPSILON { 1.0 } else { norm };
    Ok(Stored::Dense(data.iter().map(|x| x / norm).collect()))
}

/// A sparse vector.
pub(super) fn sparse(vector: &SparseVector) -> Result<Stored, Status> {
    let SparseVector { indices, values } = vector;
    if indices.len() != values.len() {
        return Err(refused("values", "must be the same length as indices"));
    }
    if indices.iter().collect::<HashSet<_>>().len() != indices.len() {
        return Err(refused("indices", "must be unique"));
    }
    let pairs = indices.iter().copied().zip(values.iter().copied());
    Ok(Stored::Sparse(pairs.collect::<BTreeMap<_, _>>()))
}

/// Refuses a filter over a field that has no index for it.
pub(super) fn check_filter(collection: &Collection, filter: Option<&Filter>) -> Result<(), Status> {
    let Some(filter) = filter else {
        return Ok(());
    };
    let parts = [&filter.must, &filter.must_not, &filter.should];
    for condition in parts.into_iter().flatten() {
        check_condition(collection, condition)?;
    }
    Ok(())
}

fn check_condition(collection: &Collection, condition: &Condition) -> Result<(), Status> {
    match &condition.condition_one_of {
        Some(ConditionOneOf::Filter(filter)) => check_filter(collection, Some(filter)),
        Some(ConditionOneOf::Field(field)) if !is_indexed(collection, field) => {
            let text = format!(
                "Bad request: Index required but not found for \"{}\"",
                field.key
            );
            Err(Status::invalid_argument(text))
        }
        _ => Ok(()),
    }
}

fn is_indexed(collection: &Collection, field: &FieldCondition) -> bool {
    let Some(index) = collection.indexes.get(&field.key) else {
        return false;
    };
    let wanted = field.r#match.as_ref().and_then(|m| m.match_value.as_ref());
    match wanted {
        Some(MatchValue::Keyword(_) | MatchValue::Keywords(_)) => {
            matches!(index.kind, FieldType::Keyword | FieldType::Uuid)
        }
        Some(MatchValue::Integer(_) | MatchValue::Integers(_)) => index.looks_numbers_up(),
        _ => true,
    }
}

/// Refuses an index whose parameters do not fit its kind, or that would be good for nothing.
pub(super) fn check_index(
    kind: FieldType,
    params: Option<&PayloadIndexParams>,
) -> Result<(), Status> {
    match (kind, params.and_then(|params| params.index_params.as_ref())) {
        (_, None) | (FieldType::Uuid, Some(IndexParams::UuidIndexParams(_))) => Ok(()),
        (FieldType::Integer, Some(IndexParams::IntegerIndexParams(params))) => {
            match (params.lookup, params.range) {
                (Some(false), Some(false)) => {
                    Err(refused("lookup", "either lookup or range must be true"))
                }
                _ => Ok(()),
            }
        }
        (kind, Some(params)) => Err(Status::invalid_argument(format!(
            "{params:?} are no parameters of a {kind:?} index"
        ))),
    }
}
