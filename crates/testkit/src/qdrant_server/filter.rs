//! Which points a filter lets through.

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Condition, FieldCondition, Filter, Value};
use tonic::Status;
use uuid::Uuid;

use super::state::{Point, uuid_of};

/// Does the filter let this point through? Without a filter, all pass.
pub(super) fn passes(filter: Option<&Filter>, id: Uuid, point: &Point) -> Result<bool, Status> {
    let Some(filter) = filter else {
        return Ok(true);
    };
    if filter.min_should.is_some() {
        return Err(Status::unimplemented("min_should"));
    }
    for condition in &filter.must {
        if !holds(condition, id, point)? {
            return Ok(false);
        }
    }
    for condition in &filter.must_not {
        if holds(condition, id, point)? {
            return Ok(false);
        }
    }
    for condition in &filter.should {
        if holds(condition, id, point)? {
            return Ok(true);
        }
    }
    Ok(filter.should.is_empty())
}

fn holds(condition: &Condition, id: Uuid, point: &Point) -> Result<bool, Status> {
    match &condition.condition_one_of {
        Some(ConditionOneOf::Field(field)) => field_holds(field, point),
        Some(ConditionOneOf::HasId(ids)) => {
            for one in &ids.has_id {
                if uuid_of(Some(one))? == id {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Some(ConditionOneOf::HasVector(named)) => Ok(point.vectors.contains_key(&named.has_vector)),
        Some(ConditionOneOf::Filter(filter)) => passes(Some(filter), id, point),
        other => Err(Status::unimplemented(format!("condition {other:?}"))),
    }
}

fn field_holds(field: &FieldCondition, point: &Point) -> Result<bool, Status> {
    let wanted = field.r#match.as_ref().and_then(|m| m.match_value.as_ref());
    let Some(wanted) = wanted else {
        return Err(Status::unimplemented("a condition without a match"));
    };
    let values = point.payload.get(&field.key).map_or(&[][..], values_of);
    for value in values {
        let found = match (wanted, &value.kind) {
            (MatchValue::Keyword(wanted), Some(Kind::StringValue(found))) => wanted == found,
            (MatchValue::Keywords(wanted), Some(Kind::StringValue(found))) => {
                wanted.strings.contains(found)
            }
            (MatchValue::Integer(wanted), Some(Kind::IntegerValue(found))) => wanted == found,
            (MatchValue::Integers(wanted), Some(Kind::IntegerValue(found))) => {
                wanted.integers.contains(found)
            }
            (
                MatchValue::Keyword(_)
                | MatchValue::Keywords(_)
                | MatchValue::Integer(_)
                | MatchValue::Integers(_),
                _,
            ) => false,
            (other, _) => return Err(Status::unimplemented(format!("match {other:?}"))),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A list is as many values; anything else is one.
pub(super) fn values_of(value: &Value) -> &[Value] {
    match &value.kind {
        Some(Kind::ListValue(list)) => &list.values,
        _ => std::slice::from_ref(value),
    }
}
