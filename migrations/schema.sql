-- The SQLite schema, drawn from the migrations by a test of adapter-sql. Do not edit:
-- UPDATE_SCHEMA=1 cargo test -p adapter-sql --test schema

CREATE TABLE user_credentials (
    user_id blob primary key references users on delete cascade,
    password_hash text not null,
    updated_at integer not null
) strict;

CREATE TABLE logins (
    id blob primary key,
    user_id blob not null references users on delete cascade,
    generation integer not null,
    created_at integer not null,
    expires_at integer not null,
    revoked_at integer
) strict;

CREATE INDEX logins_user on logins (user_id);

CREATE TABLE api_keys (
    id blob primary key,
    user_id blob not null references users on delete cascade,
    name text not null,
    prefix text not null,
    hash text not null,
    scopes text not null,
    created_at integer not null,
    expires_at integer,
    revoked_at integer,
    constraint api_keys_hash unique (hash)
) strict;

CREATE INDEX api_keys_user on api_keys (user_id, created_at, id);

CREATE TABLE memory_profiles (
    id blob primary key,
    user_id blob not null references users on delete cascade,
    name text not null,
    description text,
    is_default integer not null,
    created_at integer not null,
    updated_at integer not null,
    constraint memory_profiles_owner unique (user_id, id),
    constraint memory_profiles_name unique (user_id, name)
) strict;

CREATE UNIQUE INDEX memory_profiles_default on memory_profiles (user_id) where is_default;

CREATE TABLE chat_sessions (
    id blob primary key,
    user_id blob not null references users on delete cascade,
    profile_id blob,
    privacy_mode text not null,
    created_at integer not null,
    updated_at integer not null,
    constraint chat_sessions_owner unique (user_id, id),
    constraint chat_sessions_mode check (privacy_mode in ('normal', 'pause_memories', 'incognito')),
    constraint chat_sessions_profile foreign key (user_id, profile_id)
        references memory_profiles (user_id, id)
) strict;

CREATE INDEX chat_sessions_recent on chat_sessions (user_id, updated_at, id);

CREATE INDEX chat_sessions_of_profile on chat_sessions (user_id, profile_id, updated_at, id);

CREATE TABLE chat_messages (
    id blob primary key,
    user_id blob not null,
    session_id blob not null,
    seq integer not null,
    memory_mode text not null,
    status text not null,
    role text not null,
    content text not null,
    model text,
    prompt_tokens integer,
    completion_tokens integer,
    finish_reason text,
    alive_at integer not null,
    created_at integer not null, memories_used integer,
    constraint chat_messages_seq unique (user_id, session_id, seq),
    constraint chat_messages_stamp unique (user_id, id, memory_mode),
    constraint chat_messages_mode check (memory_mode in ('normal', 'pause_memories')),
    constraint chat_messages_status check (status in ('complete', 'streaming', 'interrupted')),
    constraint chat_messages_role check (role in ('user', 'assistant', 'system')),
    constraint chat_messages_session foreign key (user_id, session_id)
        references chat_sessions (user_id, id) on delete cascade
) strict;

CREATE UNIQUE INDEX chat_messages_streaming on chat_messages (user_id, session_id)
    where status = 'streaming';

CREATE TABLE memories (
    id blob primary key,
    user_id blob not null,
    profile_id blob not null,
    content text not null,
    fingerprint blob not null,
    origin text not null,
    version integer not null,
    created_at integer not null,
    updated_at integer not null,
    indexed_version integer,
    indexed_vector integer not null,
    source_user_id blob,
    source_message_id blob,
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
) strict;

CREATE INDEX memories_newest on memories (user_id, profile_id, created_at, id);

CREATE INDEX memories_of_source on memories (source_user_id, source_message_id, source_mode);

CREATE INDEX memories_unindexed on memories (id)
    where indexed_version is null or indexed_version <> version or not indexed_vector;

CREATE TABLE outbox (
    id blob primary key,
    user_id blob not null references users on delete cascade,
    kind text not null,
    subject_id blob not null,
    profile_id blob not null,
    state text not null,
    attempts integer not null,
    available_at integer not null,
    locked_until integer,
    last_error text,
    constraint outbox_kind check (kind in ('learn', 'index', 'sweep')),
    constraint outbox_state check (state in ('pending', 'dead'))
) strict;

CREATE INDEX outbox_ready on outbox (available_at, id) where state = 'pending';

CREATE INDEX outbox_dead on outbox (id) where state = 'dead';

CREATE INDEX outbox_subject on outbox (user_id, subject_id);

CREATE TABLE index_space (
    id integer primary key,
    model text not null,
    dimension integer not null,
    constraint index_space_single check (id = 1)
) strict;

CREATE TABLE index_revisions (
    user_id blob not null,
    profile_id blob not null,
    revision integer not null,
    primary key (user_id, profile_id),
    constraint index_revisions_profile foreign key (user_id, profile_id)
        references memory_profiles (user_id, id) on delete cascade
) strict;

CREATE TABLE memory_vectors (
    memory_id blob primary key,
    user_id blob not null,
    profile_id blob not null,
    vector blob,
    terms blob not null,
    length integer not null,
    revision integer not null, version integer not null default 0,
    constraint memory_vectors_memory foreign key (user_id, profile_id, memory_id)
        references memories (user_id, profile_id, id) on delete cascade
) strict;

CREATE INDEX memory_vectors_changes on memory_vectors (user_id, profile_id, revision);

CREATE TABLE "users" (
    id blob primary key,
    email text not null,
    is_active integer not null,
    created_at integer not null,
    updated_at integer not null,
    issuer text
) strict;

CREATE UNIQUE INDEX users_email on users (email) where issuer is null;

CREATE INDEX logins_expires on logins (expires_at);
