//! Writing and reading points.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::points_server::Points as PointsService;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{
    BatchResult, ClearPayloadPoints, CountPoints, CountResponse, CountResult,
    CreateFieldIndexCollection, CreateVectorNameRequest, DeleteFieldIndexCollection,
    DeletePayloadPoints, DeletePointVectors, DeletePoints, DeleteVectorNameRequest,
    DiscoverBatchPoints, DiscoverBatchResponse, DiscoverPoints, DiscoverResponse, FacetCounts,
    FacetHit, FacetResponse, FacetValue, Filter, GetPoints, GetResponse, PointStruct,
    PointsOperationResponse, QueryBatchPoints, QueryBatchResponse, QueryGroupsResponse,
    QueryPointGroups, QueryPoints, QueryResponse, RecommendBatchPoints, RecommendBatchResponse,
    RecommendGroupsResponse, RecommendPointGroups, RecommendPoints, RecommendResponse,
    RetrievedPoint, ScrollPoints, ScrollResponse, SearchBatchPoints, SearchBatchResponse,
    SearchGroupsResponse, SearchMatrixOffsetsResponse, SearchMatrixPairsResponse,
    SearchMatrixPoints, SearchPointGroups, SearchPoints, SearchResponse, SetPayloadPoints,
    UpdateBatchPoints, UpdateBatchResponse, UpdatePointVectors, UpsertPoints, WithPayloadSelector,
    WithVectorsSelector, facet_value, vector,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Service;
use super::collections::service;
use super::filter::{passes, values_of};
use super::search::{search, shown, vectors_of};
use super::state::{Collection, FieldIndex, Point, Stored, id_of, uuid_of};
use super::validation::{at_least_one, check_filter, check_index, dense, sparse};

type Answer<T> = Result<Response<T>, Status>;

service! {
    impl PointsService {
        async fn upsert(&self, request: Request<UpsertPoints>) -> Answer<PointsOperationResponse> {
            let changing = self.write("upsert").await?;
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            check_filter(collection, request.update_filter.as_ref())?;
            let mut written = Vec::new();
            for point in request.points {
                written.push(read_point(collection, point)?);
            }
            for (id, point) in written {
                let old = collection.points.get(&id);
                let may = match old {
                    Some(old) => passes(request.update_filter.as_ref(), id, old)?,
                    None => true,
                };
                if may && changing {
                    collection.points.insert(id, Arc::new(point));
                }
            }
            drop(state);
            Ok(self.written(request.wait))
        }

        async fn delete(&self, request: Request<DeletePoints>) -> Answer<PointsOperationResponse> {
            let changing = self.write("delete").await?;
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let doomed = match request.points.and_then(|s| s.points_selector_one_of) {
                Some(PointsSelectorOneOf::Points(list)) => {
                    let ids = list.ids.iter().map(|id| uuid_of(Some(id)));
                    ids.collect::<Result<Vec<_>, _>>()?
                }
                Some(PointsSelectorOneOf::Filter(filter)) => matching(collection, Some(&filter))?,
                None => return Err(Status::invalid_argument("PointsSelector is missing")),
            };
            if changing {
                collection.points.retain(|id, _| !doomed.contains(id));
            }
            drop(state);
            Ok(self.written(request.wait))
        }

        async fn get(&self, request: Request<GetPoints>) -> Answer<GetResponse> {
            self.read("get_points").await?;
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let mut result = Vec::new();
            for id in &request.ids {
                let id = uuid_of(Some(id))?;
                if let Some(point) = collection.points.get(&id) {
                    result.push(retrieved(id, point, request.with_payload.as_ref(), request.with_vectors.as_ref()));
                }
            }
            Ok(Response::new(GetResponse { result, time: 0.0, usage: None }))
        }

        async fn create_field_index(
            &self,
            request: Request<CreateFieldIndexCollection>,
        ) -> Answer<PointsOperationResponse> {
            self.read("create_field_index").await?;
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let kind = request.field_type();
            check_index(kind, request.field_index_params.as_ref())?;
            let index = FieldIndex { kind, params: request.field_index_params };
            collection.indexes.insert(request.field_name, index);
            drop(state);
            Ok(self.written(request.wait))
        }

        async fn scroll(&self, request: Request<ScrollPoints>) -> Answer<ScrollResponse> {
            self.read("scroll").await?;
            let ignored = self.ignores_filters();
            let request = request.into_inner();
            if request.order_by.is_some() {
                return Err(Status::unimplemented("order_by"));
            }
            at_least_one("limit", request.limit)?;
            let limit = request.limit.unwrap_or(10) as usize;
            let from = request.offset.as_ref().map(|id| uuid_of(Some(id))).transpose()?;
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let filter = request.filter.as_ref().filter(|_| !ignored);
            let mut ids = matching(collection, filter)?;
            ids.retain(|id| from.is_none_or(|from| *id >= from));
            let next_page_offset = ids.get(limit).map(|id| id_of(*id));
            ids.truncate(limit);
            let show = |id: &Uuid| {
                let point = &collection.points[id];
                retrieved(*id, point, request.with_payload.as_ref(), request.with_vectors.as_ref())
            };
            let result = ids.iter().map(show).collect();
            Ok(Response::new(ScrollResponse { next_page_offset, result, time: 0.0, usage: None }))
        }

        async fn count(&self, request: Request<CountPoints>) -> Answer<CountResponse> {
            self.read("count").await?;
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let count = matching(collection, request.filter.as_ref())?.len() as u64;
            let result = Some(CountResult { count });
            Ok(Response::new(CountResponse { result, time: 0.0, usage: None }))
        }

        async fn query(&self, request: Request<QueryPoints>) -> Answer<QueryResponse> {
            self.read("query").await?;
            let ignored = self.ignores_filters();
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let result = search(collection, &request, ignored)?;
            Ok(Response::new(QueryResponse { result, time: 0.0, usage: None }))
        }

        async fn query_batch(&self, request: Request<QueryBatchPoints>) -> Answer<QueryBatchResponse> {
            self.read("query_batch").await?;
            let ignored = self.ignores_filters();
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let mut result = Vec::new();
            for query in &request.query_points {
                result.push(BatchResult { result: search(collection, query, ignored)? });
            }
            Ok(Response::new(QueryBatchResponse { result, time: 0.0, usage: None }))
        }

        async fn facet(&self, request: Request<FacetCounts>) -> Answer<FacetResponse> {
            self.read("facet").await?;
            let request = request.into_inner();
            let mut state = self.state();
            let collection = state.collection(&request.collection_name)?;
            let hits = facet(collection, &request)?;
            Ok(Response::new(FacetResponse { hits, time: 0.0, usage: None }))
        }
    }
    missing {
        update_vectors: UpdatePointVectors => PointsOperationResponse,
        delete_vectors: DeletePointVectors => PointsOperationResponse,
        set_payload: SetPayloadPoints => PointsOperationResponse,
        overwrite_payload: SetPayloadPoints => PointsOperationResponse,
        delete_payload: DeletePayloadPoints => PointsOperationResponse,
        clear_payload: ClearPayloadPoints => PointsOperationResponse,
        delete_field_index: DeleteFieldIndexCollection => PointsOperationResponse,
        create_vector_name: CreateVectorNameRequest => PointsOperationResponse,
        delete_vector_name: DeleteVectorNameRequest => PointsOperationResponse,
        search: SearchPoints => SearchResponse,
        search_batch: SearchBatchPoints => SearchBatchResponse,
        search_groups: SearchPointGroups => SearchGroupsResponse,
        recommend: RecommendPoints => RecommendResponse,
        recommend_batch: RecommendBatchPoints => RecommendBatchResponse,
        recommend_groups: RecommendPointGroups => RecommendGroupsResponse,
        discover: DiscoverPoints => DiscoverResponse,
        discover_batch: DiscoverBatchPoints => DiscoverBatchResponse,
        update_batch: UpdateBatchPoints => UpdateBatchResponse,
        query_groups: QueryPointGroups => QueryGroupsResponse,
        search_matrix_pairs: SearchMatrixPoints => SearchMatrixPairsResponse,
        search_matrix_offsets: SearchMatrixPoints => SearchMatrixOffsetsResponse,
    }
}

/// The points that pass, in the order of their ids.
fn matching(collection: &Collection, filter: Option<&Filter>) -> Result<Vec<Uuid>, Status> {
    check_filter(collection, filter)?;
    let mut ids = Vec::new();
    for (id, point) in &collection.points {
        if passes(filter, *id, point)? {
            ids.push(*id);
        }
    }
    Ok(ids)
}

fn read_point(collection: &Collection, point: PointStruct) -> Result<(Uuid, Point), Status> {
    let id = uuid_of(point.id.as_ref())?;
    let named = match point.vectors.and_then(|v| v.vectors_options) {
        Some(VectorsOptions::Vectors(named)) => named.vectors,
        Some(VectorsOptions::Vector(_)) => {
            return Err(Status::invalid_argument("Not existing vector name error: "));
        }
        None => HashMap::new(),
    };
    let mut vectors = HashMap::new();
    for (name, vector) in named {
        let stored = read_vector(collection, &name, vector.vector)?;
        vectors.insert(name, stored);
    }
    let payload = point.payload;
    Ok((id, Point { payload, vectors }))
}

fn read_vector(
    collection: &Collection,
    name: &str,
    vector: Option<vector::Vector>,
) -> Result<Stored, Status> {
    let unknown = || Status::invalid_argument(format!("Not existing vector name error: {name}"));
    match vector {
        Some(vector::Vector::Dense(given)) => {
            dense(collection.dense(name).ok_or_else(unknown)?, &given.data)
        }
        Some(vector::Vector::Sparse(given)) if collection.has_sparse(name) => sparse(&given),
        Some(_) => Err(unknown()),
        None => Err(Status::invalid_argument("a vector without a variant")),
    }
}

fn retrieved(
    id: Uuid,
    point: &Point,
    payload: Option<&WithPayloadSelector>,
    vectors: Option<&WithVectorsSelector>,
) -> RetrievedPoint {
    RetrievedPoint {
        id: Some(id_of(id)),
        payload: shown(point, payload),
        vectors: vectors_of(point, vectors),
        ..RetrievedPoint::default()
    }
}

/// How often each number of a field occurs, the most frequent first.
fn facet(collection: &Collection, request: &FacetCounts) -> Result<Vec<FacetHit>, Status> {
    at_least_one("limit", request.limit)?;
    let index = collection.indexes.get(&request.key);
    if !index.is_some_and(FieldIndex::looks_numbers_up) {
        return Err(Status::invalid_argument(format!(
            "No appropriate index for faceting: `{}`. Please create one to facet on this field.",
            request.key
        )));
    }
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for id in matching(collection, request.filter.as_ref())? {
        let payload = &collection.points[&id].payload;
        let values = payload.get(&request.key).map_or(&[][..], values_of);
        for value in values {
            match value.kind {
                Some(Kind::IntegerValue(number)) => *counts.entry(number).or_default() += 1,
                _ => return Err(Status::unimplemented("a facet over anything but numbers")),
            }
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(usize::try_from(request.limit.unwrap_or(10)).unwrap_or(usize::MAX));
    let hit = |(number, count)| {
        let variant = Some(facet_value::Variant::IntegerValue(number));
        let value = Some(FacetValue { variant });
        FacetHit { value, count }
    };
    Ok(counts.into_iter().map(hit).collect())
}
