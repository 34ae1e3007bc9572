//! Memories. One may be drawn only from a message of the same user that is stamped `normal`; it
//! outlives that message.

crate::change!();

const SQL: &str = "
create table memories (
    id {uuid} primary key,
    user_id {uuid} not null,
    profile_id {uuid} not null,
    content text not null,
    fingerprint {uuid} not null,
    origin text not null,
    version {int} not null,
    created_at {int} not null,
    updated_at {int} not null,
    indexed_version {int},
    indexed_vector {bool} not null,
    source_user_id {uuid},
    source_message_id {uuid},
    source_mode text,
    constraint memories_owner unique (user_id, profile_id, id),
    constraint memories_statement unique (user_id, profile_id, fingerprint),
    constraint memories_origin check (origin in ('extracted', 'manual', 'copied')),
    constraint memories_source_mode check (source_mode = 'normal'),
    constraint memories_source_user check (source_user_id = user_id),
    constraint memories_source_whole check (
        (source_user_id is null) = (source_message_id is null)
        and (source_mode is null) = (source_message_id is null)),
    constraint memories_profile foreign key (user_id, profile_id)
        references memory_profiles (user_id, id) on delete cascade,
    constraint memories_source foreign key (source_user_id, source_message_id, source_mode)
        references chat_messages (user_id, id, memory_mode) on delete set null
) {strict};
create index memories_newest on memories (user_id, profile_id, created_at, id);
create index memories_of_source on memories (source_user_id, source_message_id, source_mode);
create index memories_unindexed on memories (id)
    where indexed_version is null or indexed_version <> version or not indexed_vector;
";
