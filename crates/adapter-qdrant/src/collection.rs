//! Collections: how they are made, which one serves, and to which embedding space it belongs.
//!
//! An alias names the collection that serves; collections are numbered. The space is written into the
//! collection's metadata when it is made and never changes, so whoever writes to a collection by its own
//! name, and not by the alias, cannot mix vectors of two spaces, whatever happens to the alias meanwhile.
#![expect(deprecated, reason = "servers before 1.20 know `on_disk` only")]

use std::collections::HashMap;

use domain::memory::EmbeddingSpace;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CreateAlias, CreateCollection, CreateFieldIndexCollection, Distance, FieldType,
    HnswConfigDiff, IntegerIndexParams, PayloadIndexParams, SparseIndexConfig, SparseVectorConfig,
    SparseVectorParams, UuidIndexParams, Value, VectorParams, VectorParamsMap, VectorsConfig,
};
use tokio::time::Instant;

use crate::client::{CallError, Client};
use crate::config::QdrantConfig;
use crate::point::{LENGTH, MEANING, PROFILE, TERMS, USER, WORDS};

/// Metadata: name and version of the embedding model.
pub(crate) const MODEL: &str = "embedding_model";
/// Metadata: length of its vectors.
pub(crate) const DIMENSION: &str = "embedding_dimension";

/// Links of each point in the graph of its own profile; there is no graph over all of them.
const PROFILE_LINKS: u64 = 16;

/// A collection under its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) space: Option<EmbeddingSpace>,
}

/// The collections of one alias.
pub(crate) struct Collections<'a> {
    pub(crate) client: &'a Client,
    pub(crate) config: &'a QdrantConfig,
}

impl Collections<'_> {
    /// The collection that the alias names, if there is one.
    pub(crate) async fn serving(&self, deadline: Instant) -> Result<Option<Collection>, CallError> {
        let aliases = self
            .client
            .ask("list_aliases", deadline, Qdrant::list_aliases);
        let aliases = aliases.await?.aliases;
        let ours = aliases
            .into_iter()
            .find(|alias| alias.alias_name == self.config.collection);
        let Some(alias) = ours else {
            return Ok(None);
        };
        let name = alias.collection_name;
        let info = self.client.ask("collection_info", deadline, |q| {
            q.collection_info(name.clone())
        });
        let space = info.await?.result.as_ref().and_then(space_of);
        Ok(Some(Collection { name, space }))
    }

    /// The collection of this number, with its payload indexes. One that is there already is
    /// [`CallError::Exists`].
    pub(crate) async fn create(
        &self,
        number: u64,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Collection, CallError> {
        let name = format!("{}-{number}", self.config.collection);
        let request = self.request(&name, space);
        self.client
            .insist("create_collection", |q| {
                q.create_collection(request.clone())
            })
            .await?;
        self.index_fields(&name).await?;
        let space = space.cloned();
        Ok(Collection { name, space })
    }

    fn request(&self, name: &str, space: Option<&EmbeddingSpace>) -> CreateCollection {
        let on_disk = Some(self.config.on_disk);
        let meaning = space.map(|space| VectorsConfig {
            config: Some(Config::ParamsMap(VectorParamsMap {
                map: HashMap::from([(MEANING.to_owned(), dense(space, on_disk))]),
            })),
        });
        let index = SparseIndexConfig {
            on_disk,
            ..SparseIndexConfig::default()
        };
        let words = SparseVectorParams {
            index: Some(index),
            modifier: None,
        };
        let metadata = space.map(metadata_of).unwrap_or_default();
        CreateCollection {
            collection_name: name.to_owned(),
            // Every search is within one profile: a graph over all profiles would never be used.
            hnsw_config: Some(HnswConfigDiff {
                m: Some(0),
                payload_m: Some(PROFILE_LINKS),
                on_disk,
                ..HnswConfigDiff::default()
            }),
            shard_number: self.config.shards,
            replication_factor: self.config.replication,
            on_disk_payload: on_disk,
            vectors_config: meaning,
            sparse_vectors_config: Some(SparseVectorConfig {
                map: HashMap::from([(WORDS.to_owned(), words)]),
            }),
            metadata,
            ..CreateCollection::default()
        }
    }

    /// Makes the payload indexes, before the first point; idempotent.
    pub(crate) async fn index_fields(&self, collection: &str) -> Result<(), CallError> {
        let on_disk = Some(self.config.on_disk);
        let uuid = |is_tenant| {
            IndexParams::UuidIndexParams(UuidIndexParams {
                is_tenant: Some(is_tenant),
                on_disk,
                ..UuidIndexParams::default()
            })
        };
        let lookup = || {
            IndexParams::IntegerIndexParams(IntegerIndexParams {
                lookup: Some(true),
                range: Some(false),
                on_disk,
                ..IntegerIndexParams::default()
            })
        };
        for (field, kind, params) in [
            (PROFILE, FieldType::Uuid, uuid(true)),
            (USER, FieldType::Uuid, uuid(false)),
            (TERMS, FieldType::Integer, lookup()),
            (LENGTH, FieldType::Integer, lookup()),
        ] {
            let request = CreateFieldIndexCollection {
                collection_name: collection.to_owned(),
                wait: Some(true),
                field_name: field.to_owned(),
                field_type: Some(kind.into()),
                field_index_params: Some(PayloadIndexParams {
                    index_params: Some(params),
                }),
                ..CreateFieldIndexCollection::default()
            };
            self.client
                .write("create_field_index", |q| {
                    q.create_field_index(request.clone())
                })
                .await?;
        }
        Ok(())
    }

    /// Makes the alias name this collection, whatever it named before: the server overwrites it at once.
    pub(crate) async fn serve(&self, collection: &str) -> Result<(), CallError> {
        let request = CreateAlias {
            collection_name: collection.to_owned(),
            alias_name: self.config.collection.clone(),
        };
        self.client
            .insist("create_alias", |q| q.create_alias(request.clone()))
            .await?;
        Ok(())
    }

    /// Deletes a collection; one that is gone is no error.
    pub(crate) async fn delete(&self, collection: &str) -> Result<(), CallError> {
        let deleted = self.client.insist("delete_collection", |q| {
            q.delete_collection(collection.to_owned())
        });
        match deleted.await {
            Ok(_) | Err(CallError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The numbers of all collections of this alias.
    pub(crate) async fn numbers(&self) -> Result<Vec<u64>, CallError> {
        let listed = self
            .client
            .insist("list_collections", Qdrant::list_collections);
        let prefix = format!("{}-", self.config.collection);
        let number = |name: &str| name.strip_prefix(&prefix)?.parse().ok();
        let listed = listed.await?.collections;
        Ok(listed.iter().filter_map(|c| number(&c.name)).collect())
    }
}

fn dense(space: &EmbeddingSpace, on_disk: Option<bool>) -> VectorParams {
    VectorParams {
        size: space.dimension as u64,
        distance: Distance::Cosine.into(),
        on_disk,
        ..VectorParams::default()
    }
}

fn metadata_of(space: &EmbeddingSpace) -> HashMap<String, Value> {
    let dimension = i64::try_from(space.dimension).unwrap_or(i64::MAX);
    HashMap::from([
        (MODEL.to_owned(), Value::from(space.model.as_str())),
        (DIMENSION.to_owned(), Value::from(dimension)),
    ])
}

fn space_of(info: &CollectionInfo) -> Option<EmbeddingSpace> {
    let metadata = &info.config.as_ref()?.metadata;
    let kind = |name| metadata.get(name)?.kind.as_ref();
    match (kind(MODEL)?, kind(DIMENSION)?) {
        (Kind::StringValue(model), Kind::IntegerValue(dimension)) => Some(EmbeddingSpace {
            model: model.clone(),
            dimension: usize::try_from(*dimension).ok()?,
        }),
        _ => None,
    }
}
