//! How a collection is made, as the server tells it.
#![expect(deprecated, reason = "servers before 1.20 know `on_disk` only")]

use adapter_qdrant::{QdrantConfig, QdrantMemoryIndex};
use domain::memory::{Embedder, EmbeddingSpace, MemoryIndex};
use qdrant_client::Qdrant;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionInfo, CollectionParams, Distance, IntegerIndexParams,
    PayloadSchemaType, UuidIndexParams, Value, VectorParams,
};
use testkit::fakes::HashEmbedder;
use testkit::qdrant_server::QdrantServer;

fn space() -> EmbeddingSpace {
    HashEmbedder::new().space().clone()
}

/// What the server tells about the collection that serves, made by this configuration.
async fn made(configure: impl FnOnce(&mut QdrantConfig)) -> CollectionInfo {
    let server = QdrantServer::start();
    let mut config = QdrantConfig::new(server.url());
    configure(&mut config);
    let name = config.collection.clone();
    let index = QdrantMemoryIndex::new(config).unwrap();
    index.adopt(&space()).await.unwrap();
    let client = Qdrant::from_url(&server.url()).build().unwrap();
    client.collection_info(name).await.unwrap().result.unwrap()
}

fn config(info: &CollectionInfo) -> &CollectionConfig {
    info.config.as_ref().unwrap()
}

fn params(info: &CollectionInfo) -> &CollectionParams {
    config(info).params.as_ref().unwrap()
}

fn dense(info: &CollectionInfo) -> &VectorParams {
    let vectors = params(info).vectors_config.as_ref().unwrap();
    match vectors.config.as_ref().unwrap() {
        Config::ParamsMap(map) => &map.map["meaning"],
        Config::Params(_) => panic!("a vector without a name"),
    }
}

fn index(info: &CollectionInfo, field: &str) -> (PayloadSchemaType, IndexParams) {
    let index = &info.payload_schema[field];
    let params = index.params.as_ref().unwrap().index_params.clone();
    (index.data_type(), params.unwrap())
}

fn uuid(info: &CollectionInfo, field: &str) -> UuidIndexParams {
    match index(info, field) {
        (PayloadSchemaType::Uuid, IndexParams::UuidIndexParams(params)) => params,
        other => panic!("{field}: {other:?}"),
    }
}

fn numbers(info: &CollectionInfo, field: &str) -> IntegerIndexParams {
    match index(info, field) {
        (PayloadSchemaType::Integer, IndexParams::IntegerIndexParams(params)) => params,
        other => panic!("{field}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_is_the_tenant_and_has_a_graph_of_its_own() {
    let info = made(|_| ()).await;
    assert_eq!(uuid(&info, "profile").is_tenant, Some(true));
    assert_eq!(uuid(&info, "user").is_tenant, Some(false));
    for field in ["terms", "length"] {
        assert_eq!(numbers(&info, field).lookup, Some(true), "{field}");
    }
    let graph = config(&info).hnsw_config.unwrap();
    assert_eq!((graph.m, graph.payload_m), (Some(0), Some(16)));
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_of_the_space_and_words_are_weighed_by_the_question() {
    let info = made(|_| ()).await;
    let meaning = dense(&info);
    assert_eq!(meaning.size, HashEmbedder::DIMENSION as u64);
    assert_eq!(meaning.distance(), Distance::Cosine);
    let words = &params(&info).sparse_vectors_config.as_ref().unwrap().map["words"];
    assert_eq!(words.modifier, None, "the idf is the profile's own");
    let metadata = &config(&info).metadata;
    assert_eq!(metadata["embedding_model"], Value::from(space().model));
    let dimension = i64::try_from(space().dimension).unwrap();
    assert_eq!(metadata["embedding_dimension"], Value::from(dimension));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_on_disk_or_nothing() {
    for on_disk in [true, false] {
        let info = made(|config| config.on_disk = on_disk).await;
        let words = &params(&info).sparse_vectors_config.as_ref().unwrap().map["words"];
        assert_eq!(params(&info).on_disk_payload, on_disk);
        for told in [
            dense(&info).on_disk,
            words.index.unwrap().on_disk,
            config(&info).hnsw_config.unwrap().on_disk,
            uuid(&info, "profile").on_disk,
            uuid(&info, "user").on_disk,
            numbers(&info, "terms").on_disk,
            numbers(&info, "length").on_disk,
        ] {
            assert_eq!(told, Some(on_disk));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_and_copies_are_as_configured() {
    let info = made(|config| (config.shards, config.replication) = (Some(3), Some(2))).await;
    assert_eq!(params(&info).shard_number, 3);
    assert_eq!(params(&info).replication_factor, Some(2));
    let info = made(|_| ()).await;
    assert_eq!(params(&info).replication_factor, None, "the server's own");
}
