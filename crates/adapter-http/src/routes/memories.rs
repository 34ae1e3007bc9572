//! The memories of a profile, as their owner handles them outside any session.

mod wire;

use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, delete, get, patch, post, put};
use domain::ids::{MemoryId, ProfileId};
use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) use self::wire::RecalledResponse;
use self::wire::{
    CopiedResponse, CopyMemoriesRequest, FoundResponse, MemoriesDeletedResponse, MemoriesQuery,
    MemoryDeletedResponse, MemoryRequest, MemoryResponse, SearchRequest,
};
use super::tags;
use super::wire::{MemoryPath, ProfilePath};
use crate::auth::Caller;
use crate::extract::{JsonBody, PathOf, QueryOf};
use crate::pagination::Listing;
use crate::{Api, Problem};

/// Registers the routes of this module.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(list_memories)
        .service(create_memory)
        .service(delete_all_memories)
        .service(search_memories)
        .service(copy_memories)
        .service(get_memory)
        .service(update_memory)
        .service(patch_memory)
        .service(delete_memory);
}

/// List memories
///
/// The memories of a profile, newest first.
#[utoipa::path(
    operation_id = "listMemories", tag = tags::MEMORIES, params(ProfilePath, MemoriesQuery),
    responses((status = OK, description = "A page of memories.", body = [MemoryResponse],
        headers(("Link" = String, description = "`rel=\"next\"`: the next page; absent on the last one."))))
)]
#[get("/memory-profiles/{profile_id}/memories")]
async fn list_memories(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
    query: QueryOf<MemoriesQuery>,
) -> Result<Listing<MemoryResponse>, Problem> {
    let (user, profile) = (caller.reads()?, ProfileId::new(path.profile_id));
    let page = api.memories.list(user, profile, query.page()?).await?;
    Ok(Listing(page.map(Into::into)))
}

/// Write a memory by hand
///
/// It can be recalled at once.
#[utoipa::path(
    operation_id = "createMemory", tag = tags::MEMORIES, params(ProfilePath), request_body = MemoryRequest,
    responses(
        (status = CREATED, description = "The new memory.", body = MemoryResponse),
        (status = CONFLICT, description = "The profile holds this statement already (`memory_exists`)."),
    )
)]
#[post("/memory-profiles/{profile_id}/memories")]
async fn create_memory(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
    body: JsonBody<MemoryRequest>,
) -> Result<HttpResponse, Problem> {
    let (user, profile) = (caller.writes()?, ProfileId::new(path.profile_id));
    let memory = api.memories.add(user, profile, &body.content).await?;
    Ok(HttpResponse::Created().json(MemoryResponse::from(memory)))
}

/// Delete all memories of a profile
///
/// From the database and from the index. The profile stays.
#[utoipa::path(
    operation_id = "deleteAllMemories", tag = tags::MEMORIES, params(ProfilePath),
    responses((status = OK, description = "They are gone.", body = MemoriesDeletedResponse))
)]
#[delete("/memory-profiles/{profile_id}/memories")]
async fn delete_all_memories(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
) -> Result<Json<MemoriesDeletedResponse>, Problem> {
    let (user, profile) = (caller.writes()?, ProfileId::new(path.profile_id));
    let deleted = api.memories.delete_all(user, profile).await?;
    Ok(Json(MemoriesDeletedResponse {
        message: "All memories of the profile deleted.",
        profile_id: path.profile_id,
        deleted,
    }))
}

/// Search memories
///
/// The memories of a profile that have to do with a text, by meaning and by words, best first.
#[utoipa::path(
    operation_id = "searchMemories", tag = tags::MEMORIES, params(ProfilePath), request_body = SearchRequest,
    responses((status = OK, description = "What was found.", body = FoundResponse))
)]
#[post("/memory-profiles/{profile_id}/memories/search")]
async fn search_memories(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
    body: JsonBody<SearchRequest>,
) -> Result<Json<FoundResponse>, Problem> {
    let (user, profile) = (caller.reads()?, ProfileId::new(path.profile_id));
    let limit = body.limit()?;
    let found = api
        .memories
        .search(user, profile, &body.query, limit)
        .await?;
    Ok(Json(found.into()))
}

/// Copy all memories to another profile
///
/// Of the same user. What the other profile knows already is left out.
#[utoipa::path(
    operation_id = "copyMemories", tag = tags::MEMORIES, params(ProfilePath),
    request_body = CopyMemoriesRequest,
    responses((status = OK, description = "They are copied.", body = CopiedResponse))
)]
#[post("/memory-profiles/{profile_id}/memories/copy")]
async fn copy_memories(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
    body: JsonBody<CopyMemoriesRequest>,
) -> Result<Json<CopiedResponse>, Problem> {
    let (user, from) = (caller.writes()?, ProfileId::new(path.profile_id));
    let to = ProfileId::new(body.target_profile_id);
    let copied = api.memories.copy_all(user, from, to).await?;
    Ok(Json(CopiedResponse {
        message: "Memories copied.",
        copied,
    }))
}

/// Get a memory
///
/// With the message it was drawn from, where there is one.
#[utoipa::path(
    operation_id = "getMemory", tag = tags::MEMORIES, params(MemoryPath),
    responses((status = OK, description = "The memory.", body = MemoryResponse))
)]
#[get("/memory-profiles/{profile_id}/memories/{memory_id}")]
async fn get_memory(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<MemoryPath>,
) -> Result<Json<MemoryResponse>, Problem> {
    let (profile, id) = ids(&path);
    let memory = api.memories.get(caller.reads()?, profile, id).await?;
    Ok(Json(memory.into()))
}

/// Change a memory
///
/// Its `version` grows by one.
#[utoipa::path(
    operation_id = "updateMemory", tag = tags::MEMORIES, params(MemoryPath), request_body = MemoryRequest,
    responses(
        (status = OK, description = "The memory as it is now.", body = MemoryResponse),
        (status = CONFLICT, description = "It was changed meanwhile, or the profile holds this statement already (`memory_changed`, `memory_exists`)."),
    )
)]
#[put("/memory-profiles/{profile_id}/memories/{memory_id}")]
async fn update_memory(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<MemoryPath>,
    body: JsonBody<MemoryRequest>,
) -> Result<Json<MemoryResponse>, Problem> {
    change_memory(&api, &caller, &path, &body).await
}

/// Change the text of a memory
///
/// The same as `PUT`.
#[utoipa::path(
    operation_id = "patchMemory", tag = tags::MEMORIES, params(MemoryPath), request_body = MemoryRequest,
    responses(
        (status = OK, description = "The memory as it is now.", body = MemoryResponse),
        (status = CONFLICT, description = "It was changed meanwhile, or the profile holds this statement already (`memory_changed`, `memory_exists`)."),
    )
)]
#[patch("/memory-profiles/{profile_id}/memories/{memory_id}")]
async fn patch_memory(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<MemoryPath>,
    body: JsonBody<MemoryRequest>,
) -> Result<Json<MemoryResponse>, Problem> {
    change_memory(&api, &caller, &path, &body).await
}

async fn change_memory(
    api: &Api,
    caller: &Caller,
    path: &MemoryPath,
    body: &MemoryRequest,
) -> Result<Json<MemoryResponse>, Problem> {
    let (user, (profile, id)) = (caller.writes()?, ids(path));
    let memory = api
        .memories
        .update(user, profile, id, &body.content)
        .await?;
    Ok(Json(memory.into()))
}

/// Delete a memory
///
/// From the database and from the index.
#[utoipa::path(
    operation_id = "deleteMemory", tag = tags::MEMORIES, params(MemoryPath),
    responses((status = OK, description = "It is gone.", body = MemoryDeletedResponse))
)]
#[delete("/memory-profiles/{profile_id}/memories/{memory_id}")]
async fn delete_memory(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<MemoryPath>,
) -> Result<Json<MemoryDeletedResponse>, Problem> {
    let (profile, id) = ids(&path);
    api.memories.delete(caller.writes()?, profile, id).await?;
    Ok(Json(MemoryDeletedResponse {
        message: "Memory deleted.",
        memory_id: path.memory_id,
    }))
}

fn ids(path: &MemoryPath) -> (ProfileId, MemoryId) {
    (
        ProfileId::new(path.profile_id),
        MemoryId::new(path.memory_id),
    )
}
