//! Collections and points.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CreateCollection, FieldType, PayloadIndexParams, PointId, Value, VectorParams,
};
use tonic::Status;
use uuid::Uuid;

use super::faults::Misbehaviour;

/// A vector as it is kept; dense ones at length 1, as Qdrant keeps them for the cosine.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stored {
    Dense(Vec<f32>),
    Sparse(BTreeMap<u32, f32>),
}

/// A point.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) payload: HashMap<String, Value>,
    pub(super) vectors: HashMap<String, Stored>,
}

pub(super) type Points = BTreeMap<Uuid, Arc<Point>>;

/// An index over a field of the payload.
#[derive(Clone)]
pub(super) struct FieldIndex {
    pub(super) kind: FieldType,
    pub(super) params: Option<PayloadIndexParams>,
}

/// A collection.
pub(super) struct Collection {
    pub(super) config: CreateCollection,
    pub(super) indexes: BTreeMap<String, FieldIndex>,
    pub(super) points: Points,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) collections: BTreeMap<String, Collection>,
    /// Collections by alias.
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) calls: Vec<&'static str>,
    pub(super) misbehaviour: Option<Misbehaviour>,
    /// The points of all collections before each write.
    past: Vec<BTreeMap<String, Points>>,
}

/// As many writes can be lost.
const REMEMBERED: usize = 64;

impl State {
    /// The collection of this name or alias.
    pub(super) fn collection(&mut self, name: &str) -> Result<&mut Collection, Status> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        let missing = || Status::not_found(format!("Collection `{name}` doesn't exist!"));
        self.collections.get_mut(name).ok_or_else(missing)
    }

    /// Refuses the name of a collection.
    pub(super) fn is_no_collection(&self, name: &str) -> Result<(), Status> {
        if self.collections.contains_key(name) {
            let text = format!("Wrong input: Collection `{name}` already exists!");
            return Err(Status::already_exists(text));
        }
        Ok(())
    }

    /// Keeps the points as they are, to go back to.
    pub(super) fn remember(&mut self) {
        let collections = self.collections.iter();
        let points = collections.map(|(name, c)| (name.clone(), c.points.clone()));
        self.past.push(points.collect());
        if self.past.len() > REMEMBERED {
            self.past.remove(0);
        }
    }

    /// Goes back in time.
    pub(super) fn undo(&mut self, writes: usize) {
        let then = self.past.len().saturating_sub(writes);
        let Some(past) = self.past.drain(then..).next() else {
            return;
        };
        for (name, points) in past {
            if let Some(collection) = self.collections.get_mut(&name) {
                collection.points = points;
            }
        }
    }

    pub(super) fn change_owner(&mut self, point: Uuid, user: Uuid, profile: Uuid) -> bool {
        let mut points = self.collections.values_mut().map(|c| &mut c.points);
        let Some(found) = points.find_map(|points| points.get_mut(&point)) else {
            return false;
        };
        let payload = &mut Arc::make_mut(found).payload;
        payload.insert("user".to_owned(), user.to_string().into());
        payload.insert("profile".to_owned(), profile.to_string().into());
        true
    }

    pub(super) fn dump(&self) -> Vec<String> {
        let points = self.collections.iter().flat_map(|(name, collection)| {
            let points = collection.points.iter();
            points.map(move |(id, point)| (name, id, point))
        });
        let line = |(name, id, point): (&String, &Uuid, &Arc<Point>)| {
            // In the order of their names.
            let payload: BTreeMap<_, _> = point.payload.iter().collect();
            let vectors: BTreeMap<_, _> = point.vectors.iter().collect();
            format!("{name} {id} {payload:?} {vectors:?}")
        };
        points.map(line).collect()
    }

    pub(super) fn total(&self) -> usize {
        self.collections.values().map(|c| c.points.len()).sum()
    }
}

impl FieldIndex {
    /// Is it one of numbers that finds each of them?
    pub(super) fn looks_numbers_up(&self) -> bool {
        let params = self.params.as_ref().and_then(|p| p.index_params.as_ref());
        let looks_up = match params {
            Some(IndexParams::IntegerIndexParams(params)) => params.lookup.unwrap_or(true),
            _ => true,
        };
        self.kind == FieldType::Integer && looks_up
    }
}

impl Collection {
    /// The parameters of a dense vector.
    pub(super) fn dense(&self, name: &str) -> Option<&VectorParams> {
        match self.config.vectors_config.as_ref()?.config.as_ref()? {
            Config::Params(_) => None,
            Config::ParamsMap(map) => map.map.get(name),
        }
    }

    /// Has it a sparse vector of this name?
    pub(super) fn has_sparse(&self, name: &str) -> bool {
        let sparse = self.config.sparse_vectors_config.as_ref();
        sparse.is_some_and(|config| config.map.contains_key(name))
    }

    /// Is there no graph over all points, so that only filtered searches find something?
    pub(super) fn is_for_tenants(&self) -> bool {
        self.config.hnsw_config.as_ref().and_then(|hnsw| hnsw.m) == Some(0)
    }
}

/// The id as a UUID; numbers are not used here.
pub(super) fn uuid_of(id: Option<&PointId>) -> Result<Uuid, Status> {
    match id.and_then(|id| id.point_id_options.as_ref()) {
        Some(PointIdOptions::Uuid(text)) => {
            let parsed = text.parse();
            parsed.map_err(|_| Status::invalid_argument(format!("Unable to parse UUID: {text}")))
        }
        Some(PointIdOptions::Num(number)) => Ok(Uuid::from_u128(u128::from(*number))),
        None => Err(Status::invalid_argument("Expected point id")),
    }
}

/// The id of a point on the wire.
pub(super) fn id_of(point: Uuid) -> PointId {
    PointId {
        point_id_options: Some(PointIdOptions::Uuid(point.to_string())),
    }
}
