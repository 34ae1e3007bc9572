//! Memory profiles.

use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, delete, get, patch, post, put};
use domain::ids::ProfileId;
use domain::profile::{ProfileChange, ProfileView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::tags;
use super::wire::{ProfilePath, Timestamp, sent};
use crate::auth::Caller;
use crate::extract::{JsonBody, PathOf};
use crate::{Api, Problem};

/// Registers the routes of this module.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(list_memory_profiles)
        .service(create_memory_profile)
        .service(get_memory_profile)
        .service(update_memory_profile)
        .service(patch_memory_profile)
        .service(delete_memory_profile)
        .service(set_default_memory_profile);
}

/// A profile to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateProfileRequest {
    /// Unique among the user's profiles; upper and lower case differ.
    #[schema(min_length = 1, max_length = 100, example = "Work")]
    name: String,
    #[schema(max_length = 500, example = "What my colleagues may hear")]
    description: Option<String>,
    /// Makes it the default instead of the present one.
    #[serde(default)]
    is_default: bool,
}

/// The fields of a profile that are to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateProfileRequest {
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 100, example = "Work")]
    name: Option<String>,
    /// `null` takes the description away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 500)]
    #[expect(clippy::option_option, reason = "absent, null and a value differ")]
    description: Option<Option<String>>,
    /// `true` makes it the default; `false` changes nothing, since one profile always is.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = bool, required = false)]
    is_default: Option<bool>,
}

impl From<UpdateProfileRequest> for ProfileChange {
    fn from(request: UpdateProfileRequest) -> Self {
        Self {
            name: request.name,
            description: request.description,
            is_default: request.is_default,
        }
    }
}

/// A memory profile: an isolated set of memories.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileResponse {
    id: Uuid,
    user_id: Uuid,
    #[schema(min_length = 1, max_length = 100, example = "Work")]
    name: String,
    #[schema(required = true, max_length = 500)]
    description: Option<String>,
    /// New sessions use it when nothing else is said. Exactly one profile of a user is the default.
    is_default: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// How many memories it holds.
    #[schema(minimum = 0)]
    memory_count: u64,
}

impl From<ProfileView> for ProfileResponse {
    fn from(view: ProfileView) -> Self {
        let profile = &view.profile;
        Self {
            id: profile.id().as_uuid(),
            user_id: profile.user().as_uuid(),
            name: profile.name().to_owned(),
            description: profile.description().map(str::to_owned),
            is_default: profile.is_default(),
            created_at: profile.created_at().into(),
            updated_at: profile.updated_at().into(),
            memory_count: view.memory_count,
        }
    }
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileDeletedResponse {
    #[schema(max_length = 200, example = "Memory profile deleted.")]
    message: &'static str,
    profile_id: Uuid,
}

/// The new default.
#[derive(Serialize, ToSchema)]
pub(crate) struct DefaultProfileResponse {
    #[schema(max_length = 200, example = "Default memory profile set.")]
    message: &'static str,
    profile_id: Uuid,
    #[schema(max_length = 100, example = "Work")]
    profile_name: String,
}

/// List memory profiles
///
/// All of the user's profiles, oldest first.
#[utoipa::path(
    operation_id = "listMemoryProfiles", tag = tags::PROFILES,
    responses((status = OK, description = "All profiles.", body = [ProfileResponse]))
)]
#[get("/memory-profiles")]
async fn list_memory_profiles(
    api: Data<Api>,
    caller: Caller,
) -> Result<Json<Vec<ProfileResponse>>, Problem> {
    let profiles = api.profiles.list(caller.reads()?).await?;
    Ok(Json(profiles.into_iter().map(Into::into).collect()))
}

/// Make a memory profile
///
/// A user's first profile becomes the default whatever is asked for.
#[utoipa::path(
    operation_id = "createMemoryProfile", tag = tags::PROFILES, request_body = CreateProfileRequest,
    responses(
        (status = CREATED, description = "The new profile.", body = ProfileResponse),
        (status = CONFLICT, description = "The user has a profile of this name (`profile_name_taken`)."),
    )
)]
#[post("/memory-profiles")]
async fn create_memory_profile(
    api: Data<Api>,
    caller: Caller,
    body: JsonBody<CreateProfileRequest>,
) -> Result<HttpResponse, Problem> {
    let user = caller.writes()?;
    let new = body.into_inner();
    let view = api
        .profiles
        .create(user, &new.name, new.description, new.is_default)
        .await?;
    Ok(HttpResponse::Created().json(ProfileResponse::from(view)))
}

/// Get a memory profile
///
/// With the number of memories it holds.
#[utoipa::path(
    operation_id = "getMemoryProfile", tag = tags::PROFILES, params(ProfilePath),
    responses((status = OK, description = "The profile.", body = ProfileResponse))
)]
#[get("/memory-profiles/{profile_id}")]
async fn get_memory_profile(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
) -> Result<Json<ProfileResponse>, Problem> {
    let id = ProfileId::new(path.profile_id);
    Ok(Json(api.profiles.get(caller.reads()?, id).await?.into()))
}

/// Change a memory profile
///
/// Only the fields that are sent change.
#[utoipa::path(
    operation_id = "updateMemoryProfile", tag = tags::PROFILES, params(ProfilePath),
    request_body = UpdateProfileRequest,
    responses(
        (status = OK, description = "The profile as it is now.", body = ProfileResponse),
        (status = CONFLICT, description = "The user has a profile of this name (`profile_name_taken`)."),
    )
)]
#[put("/memory-profiles/{profile_id}")]
async fn update_memory_profile(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
    body: JsonBody<UpdateProfileRequest>,
) -> Result<Json<ProfileResponse>, Problem> {
    change_memory_profile(&api, &caller, &path, body).await
}

/// Change some of a memory profile
///
/// The same as `PUT`.
#[utoipa::path(
    operation_id = "patchMemoryProfile", tag = tags::PROFILES, params(ProfilePath),
    request_body = UpdateProfileRequest,
    responses(
        (status = OK, description = "The profile as it is now.", body = ProfileResponse),
        (status = CONFLICT, description = "The user has a profile of this name (`profile_name_taken`)."),
    )
)]
#[patch("/memory-profiles/{profile_id}")]
async fn patch_memory_profile(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
    body: JsonBody<UpdateProfileRequest>,
) -> Result<Json<ProfileResponse>, Problem> {
    change_memory_profile(&api, &caller, &path, body).await
}

async fn change_memory_profile(
    api: &Api,
    caller: &Caller,
    path: &ProfilePath,
    body: JsonBody<UpdateProfileRequest>,
) -> Result<Json<ProfileResponse>, Problem> {
    let (user, id) = (caller.writes()?, ProfileId::new(path.profile_id));
    let change = body.into_inner().into();
    Ok(Json(api.profiles.update(user, id, change).await?.into()))
}

/// Delete a memory profile
///
/// Its memories go with it; its sessions stay, without a profile. When it was the default, the oldest
/// remaining profile becomes the default.
#[utoipa::path(
    operation_id = "deleteMemoryProfile", tag = tags::PROFILES, params(ProfilePath),
    responses(
        (status = OK, description = "The profile and its memories are gone.", body = ProfileDeletedResponse),
        (status = BAD_REQUEST, description = "It is the user's only profile (`last_profile`)."),
    )
)]
#[delete("/memory-profiles/{profile_id}")]
async fn delete_memory_profile(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
) -> Result<Json<ProfileDeletedResponse>, Problem> {
    let profile_id = path.profile_id;
    let id = ProfileId::new(profile_id);
    api.profiles.delete(caller.writes()?, id).await?;
    Ok(Json(ProfileDeletedResponse {
        message: "Memory profile deleted.",
        profile_id,
    }))
}

/// Make a memory profile the default
///
/// The other default, if it is another one, is none any more.
#[utoipa::path(
    operation_id = "setDefaultMemoryProfile", tag = tags::PROFILES, params(ProfilePath),
    responses((status = OK, description = "It is the default.", body = DefaultProfileResponse))
)]
#[post("/memory-profiles/{profile_id}/set-default")]
async fn set_default_memory_profile(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ProfilePath>,
) -> Result<Json<DefaultProfileResponse>, Problem> {
    let id = ProfileId::new(path.profile_id);
    let view = api.profiles.set_default(caller.writes()?, id).await?;
    Ok(Json(DefaultProfileResponse {
        message: "Default memory profile set.",
        profile_id: path.profile_id,
        profile_name: view.profile.name().to_owned(),
    }))
}
