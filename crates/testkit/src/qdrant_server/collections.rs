//! Collections and their aliases.
#![expect(deprecated, reason = "servers before 1.20 know `on_disk_payload` only")]

use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::{
    AliasDescription, ChangeAliases, CollectionClusterInfoRequest, CollectionClusterInfoResponse,
    CollectionConfig, CollectionDescription, CollectionExists, CollectionExistsRequest,
    CollectionExistsResponse, CollectionInfo, CollectionOperationResponse, CollectionParams,
    CollectionStatus, CreateCollection, CreateShardKeyRequest, CreateShardKeyResponse,
    DeleteCollection, DeleteShardKeyRequest, DeleteShardKeyResponse, GetCollectionInfoRequest,
    GetCollectionInfoResponse, ListAliasesRequest, ListAliasesResponse,
    ListCollectionAliasesRequest, ListCollectionsRequest, ListCollectionsResponse,
    ListShardKeysRequest, ListShardKeysResponse, PayloadSchemaInfo, UpdateCollection,
    UpdateCollectionClusterSetupRequest, UpdateCollectionClusterSetupResponse,
};
use tonic::{Request, Response, Status};

use super::Service;
use super::state::{Collection, FieldIndex, Points, State};
use super::validation::check_collection;

type Answer<T> = Result<Response<T>, Status>;

/// The implementation of a service: what is written out, and what is not there.
macro_rules! service {
    (impl $service:ident { $($written:tt)* } missing { $($name:ident: $request:ty => $response:ty),* $(,)? }) => {
        #[tonic::async_trait]
        impl $service for Service {
            $($written)*
            $(async fn $name(&self, _: Request<$request>) -> Answer<$response> {
                Err(Status::unimplemented(stringify!($name)))
            })*
        }
    };
}
pub(super) use service;

fn done(result: bool) -> Response<CollectionOperationResponse> {
    Response::new(CollectionOperationResponse { result, time: 0.0 })
}

service! {
    impl Collections {
        async fn get(
            &self,
            request: Request<GetCollectionInfoRequest>,
        ) -> Answer<GetCollectionInfoResponse> {
            self.read("get_collection").await?;
            let name = request.into_inner().collection_name;
            let mut state = self.state();
            let result = Some(info(state.collection(&name)?));
            Ok(Response::new(GetCollectionInfoResponse { result, time: 0.0 }))
        }

        async fn list(&self, _: Request<ListCollectionsRequest>) -> Answer<ListCollectionsResponse> {
            self.read("list_collections").await?;
            let names = self.state().collections.keys().cloned().collect::<Vec<_>>();
            let collections = names.into_iter().map(|name| CollectionDescription { name });
            Ok(Response::new(ListCollectionsResponse { collections: collections.collect(), time: 0.0 }))
        }

        async fn create(&self, request: Request<CreateCollection>) -> Answer<CollectionOperationResponse> {
            self.read("create_collection").await?;
            let config = request.into_inner();
            check_collection(&config)?;
            let name = config.collection_name.clone();
            let mut state = self.state();
            state.is_no_collection(&name)?;
            if state.aliases.contains_key(&name) {
                return Err(Status::invalid_argument("Alias with the same name already exists"));
            }
            let collection = Collection { config, indexes: BTreeMap::new(), points: Points::new() };
            state.collections.insert(name, collection);
            Ok(done(true))
        }

        async fn delete(&self, request: Request<DeleteCollection>) -> Answer<CollectionOperationResponse> {
            self.read("delete_collection").await?;
            let name = request.into_inner().collection_name;
            let mut state = self.state();
            state.aliases.retain(|_, target| *target != name);
            Ok(done(state.collections.remove(&name).is_some()))
        }

        async fn update_aliases(&self, request: Request<ChangeAliases>) -> Answer<CollectionOperationResponse> {
            self.read("update_aliases").await?;
            let mut state = self.state();
            // All or nothing.
            let mut aliases = state.aliases.clone();
            for operation in request.into_inner().actions {
                change_alias(&state, &mut aliases, operation.action)?;
            }
            state.aliases = aliases;
            Ok(done(true))
        }

        async fn list_aliases(&self, _: Request<ListAliasesRequest>) -> Answer<ListAliasesResponse> {
            self.read("list_aliases").await?;
            let aliases = self.state().aliases.clone();
            let describe = |(alias_name, collection_name)| AliasDescription { alias_name, collection_name };
            let aliases = aliases.into_iter().map(describe).collect();
            Ok(Response::new(ListAliasesResponse { aliases, time: 0.0 }))
        }

        async fn collection_exists(
            &self,
            request: Request<CollectionExistsRequest>,
        ) -> Answer<CollectionExistsResponse> {
            self.read("collection_exists").await?;
            let name = request.into_inner().collection_name;
            let exists = self.state().collection(&name).is_ok();
            let result = Some(CollectionExists { exists });
            Ok(Response::new(CollectionExistsResponse { result, time: 0.0 }))
        }
    }
    missing {
        update: UpdateCollection => CollectionOperationResponse,
        list_collection_aliases: ListCollectionAliasesRequest => ListAliasesResponse,
        collection_cluster_info: CollectionClusterInfoRequest => CollectionClusterInfoResponse,
        update_collection_cluster_setup: UpdateCollectionClusterSetupRequest => UpdateCollectionClusterSetupResponse,
        create_shard_key: CreateShardKeyRequest => CreateShardKeyResponse,
        delete_shard_key: DeleteShardKeyRequest => DeleteShardKeyResponse,
        list_shard_keys: ListShardKeysRequest => ListShardKeysResponse,
    }
}

fn change_alias(
    state: &State,
    aliases: &mut BTreeMap<String, String>,
    action: Option<Action>,
) -> Result<(), Status> {
    match action {
        Some(Action::CreateAlias(new)) => {
            if !state.collections.contains_key(&new.collection_name) {
                return Err(Status::not_found(format!(
                    "Collection `{}` doesn't exist!",
                    new.collection_name
                )));
            }
            state.is_no_collection(&new.alias_name)?;
            aliases.insert(new.alias_name, new.collection_name);
            Ok(())
        }
        Some(Action::DeleteAlias(old)) => {
            aliases.remove(&old.alias_name);
            Ok(())
        }
        other => Err(Status::unimplemented(format!("{other:?}"))),
    }
}

fn info(collection: &Collection) -> CollectionInfo {
    let config = &collection.config;
    let params = CollectionParams {
        shard_number: config.shard_number.unwrap_or(1),
        vectors_config: config.vectors_config.clone(),
        replication_factor: config.replication_factor,
        write_consistency_factor: config.write_consistency_factor,
        sparse_vectors_config: config.sparse_vectors_config.clone(),
        on_disk_payload: config.on_disk_payload.unwrap_or(false),
        ..CollectionParams::default()
    };
    let indexes = collection.indexes.iter();
    let payload_schema = indexes.map(|(field, index)| (field.clone(), schema(index)));
    CollectionInfo {
        status: CollectionStatus::Green.into(),
        config: Some(CollectionConfig {
            params: Some(params),
            hnsw_config: config.hnsw_config,
            metadata: config.metadata.clone(),
            ..CollectionConfig::default()
        }),
        points_count: Some(collection.points.len() as u64),
        payload_schema: payload_schema.collect::<HashMap<_, _>>(),
        ..CollectionInfo::default()
    }
}

fn schema(index: &FieldIndex) -> PayloadSchemaInfo {
    PayloadSchemaInfo {
        // Both enumerations are in one order, but the second has a nought of its own.
        data_type: i32::from(index.kind) + 1,
        params: index.params.clone(),
        points: None,
    }
}
