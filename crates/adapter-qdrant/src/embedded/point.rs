//! Points, filters and payloads in the engine's own types; what is in them is as on a server.

use std::collections::HashMap;

use domain::ids::MemoryId;
use domain::memory::{IndexEntry, Terms};
use domain::privacy::MemoryScope;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{ListValue, Value};
use qdrant_edge::external::serde_json::{Map, Value as Json};
use qdrant_edge::{
    AnyVariants, Condition, FieldCondition, Filter, HasIdCondition, JsonPath, Match, NamedVectors,
    OperationError, Payload, PointId, PointStruct, PointStructPersisted, ValueVariants, Vector,
    WithPayloadInterface,
};

use crate::point::{MEANING, PROFILE, TERMS, USER, WORDS, payload};
use crate::words;

/// A field of the payload.
pub(crate) fn field(name: &str) -> JsonPath {
    JsonPath {
        first_key: name.to_owned(),
        rest: Vec::new(),
    }
}

/// These fields of the payload.
pub(crate) fn only(fields: &[&str]) -> WithPayloadInterface {
    WithPayloadInterface::Fields(fields.iter().map(|name| field(name)).collect())
}

fn matches(name: &str, value: Match) -> Condition {
    Condition::Field(FieldCondition::new_match(field(name), value))
}

fn conditions(scope: MemoryScope) -> Vec<Condition> {
    let is = |id: String| Match::new_value(ValueVariants::String(id));
    vec![
        matches(USER, is(scope.user.to_string())),
        matches(PROFILE, is(scope.profile.to_string())),
    ]
}

fn all_of(conditions: Vec<Condition>) -> Filter {
    Filter {
        must: Some(conditions),
        ..Filter::new()
    }
}

/// Lets the points of one scope through; part of every query.
pub(crate) fn within(scope: MemoryScope) -> Filter {
    all_of(conditions(scope))
}

/// Lets these points of one scope through.
pub(crate) fn among(scope: MemoryScope, memories: &[MemoryId]) -> Filter {
    let mut all = conditions(scope);
    let ids: HasIdCondition = memories.iter().map(|memory| id(*memory)).collect();
    all.push(Condition::HasId(ids));
    all_of(all)
}

/// Lets the points of one scope through that hold at least one of the words.
pub(crate) fn holding(scope: MemoryScope, terms: &Terms) -> Filter {
    let mut all = conditions(scope);
    let asked = terms.counts().iter().map(|word| i64::from(word.term));
    let any = AnyVariants::Integers(asked.collect());
    all.push(matches(TERMS, Match::new_any(any)));
    all_of(all)
}

/// The id of a memory's point.
pub(crate) fn id(memory: MemoryId) -> PointId {
    PointId::Uuid(memory.as_uuid())
}

/// The memory of a point; `None` for a point that is none of ours.
pub(crate) fn memory(id: PointId) -> Option<MemoryId> {
    match id {
        PointId::Uuid(uuid) => Some(MemoryId::new(uuid)),
        PointId::NumId(_) => None,
    }
}

/// The point of an entry.
pub(crate) fn point(
    scope: MemoryScope,
    entry: &IndexEntry,
) -> Result<PointStructPersisted, OperationError> {
    let mut vectors = NamedVectors::default();
    if let Some(embedding) = &entry.embedding {
        vectors = vectors.add_vector(MEANING, embedding.values());
    }
    if !entry.terms.is_empty() {
        let (indices, values) = words::document(&entry.terms);
        vectors = vectors.add_vector(WORDS, Vector::new_sparse(indices, values)?);
    }
    let fields = payload(scope, entry).into_iter();
    let fields: Map<String, Json> = fields.map(|(name, value)| (name, to_json(value))).collect();
    Ok(PointStruct::new(id(entry.memory), vectors, Json::Object(fields)).into())
}

/// A payload that was read, as a server would have returned it.
pub(crate) fn fields(payload: Option<Payload>) -> HashMap<String, Value> {
    let fields = payload.into_iter().flat_map(|payload| payload.0);
    fields
        .map(|(name, value)| (name, from_json(value)))
        .collect()
}

/// The kinds of value that our payloads are made of.
fn to_json(value: Value) -> Json {
    match value.kind {
        Some(Kind::StringValue(text)) => Json::from(text),
        Some(Kind::IntegerValue(number)) => Json::from(number),
        Some(Kind::BoolValue(flag)) => Json::from(flag),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(to_json).collect(),
        Some(Kind::NullValue(_) | Kind::DoubleValue(_) | Kind::StructValue(_)) | None => Json::Null,
    }
}

fn from_json(value: Json) -> Value {
    let kind = match value {
        Json::String(text) => Some(Kind::StringValue(text)),
        Json::Number(number) => number.as_i64().map(Kind::IntegerValue),
        Json::Bool(flag) => Some(Kind::BoolValue(flag)),
        Json::Array(list) => Some(Kind::ListValue(ListValue {
            values: list.into_iter().map(from_json).collect(),
        })),
        Json::Null | Json::Object(_) => None,
    };
    Value { kind }
}
