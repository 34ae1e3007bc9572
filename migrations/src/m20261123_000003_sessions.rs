//! Sessions and their messages. A session may be incognito; a stored message never is.

crate::change!();

const SQL: &str = "
create table chat_sessions (
    id {uuid} primary key,
    user_id {uuid} not null references users on delete cascade,
    profile_id {uuid},
    privacy_mode text not null,
    created_at {int} not null,
    updated_at {int} not null,
    constraint chat_sessions_owner unique (user_id, id),
    constraint chat_sessions_mode check (privacy_mode in ('normal', 'pause_memories', 'incognito')),
    constraint chat_sessions_profile foreign key (user_id, profile_id)
        references memory_profiles (user_id, id)
) {strict};
create index chat_sessions_recent on chat_sessions (user_id, updated_at, id);
create index chat_sessions_of_profile on chat_sessions (user_id, profile_id, updated_at, id);

create table chat_messages (
    id {uuid} primary key,
    user_id {uuid} not null,
    session_id {uuid} not null,
    seq {int} not null,
    memory_mode text not null,
    status text not null,
    role text not null,
    content text not null,
    model text,
    prompt_tokens {int},
    completion_tokens {int},
    finish_reason text,
    alive_at {int} not null,
    created_at {int} not null,
    constraint chat_messages_seq unique (user_id, session_id, seq),
    constraint chat_messages_stamp unique (user_id, id, memory_mode),
    constraint chat_messages_mode check (memory_mode in ('normal', 'pause_memories')),
    constraint chat_messages_status check (status in ('complete', 'streaming', 'interrupted')),
    constraint chat_messages_role check (role in ('user', 'assistant', 'system')),
    constraint chat_messages_session foreign key (user_id, session_id)
        references chat_sessions (user_id, id) on delete cascade
) {strict};
create unique index chat_messages_streaming on chat_messages (user_id, session_id)
    where status = 'streaming';
";
