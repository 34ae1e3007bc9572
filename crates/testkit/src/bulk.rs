//! An installation that has been in use for long, as SQL: quicker than through the ports.

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Bulk {
    /// Users besides those who are there already; everybody gets the following.
    pub users: u32,
    /// Sessions of each user.
    pub sessions: u32,
    /// Messages in each session.
    pub messages: u32,
    /// Memories of each user.
    pub memories: u32,
}

/// The statements for a database, in their order. Sessions, messages and memories are added to every
/// user, also to those who signed up before; the users added here have no password.
pub fn statements(bulk: Bulk, postgres: bool) -> Vec<String> {
    let Bulk {
        users,
        sessions,
        messages,
        memories,
    } = bulk;
    let (id, yes) = if postgres {
        ("gen_random_uuid()", "true")
    } else {
        ("randomblob(16)", "1")
    };
    let count = |rows: u32| {
        format!("with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})")
    };
    vec![
        format!(
            "{} insert into users (id, email, is_active, created_at, updated_at) \
             select {id}, 'somebody' || i || '@example.org', {yes}, i, i from n",
            count(users)
        ),
        format!(
            "insert into logins (id, user_id, generation, created_at, expires_at) \
             select {id}, id, 1, 1, 9 from users"
        ),
        format!(
            "insert into api_keys (id, user_id, name, prefix, hash, scopes, created_at) \
             select {id}, id, 'key', 'mc', 'of ' || email, '', 1 from users"
        ),
        format!(
            "insert into memory_profiles (id, user_id, name, is_default, created_at, updated_at) \
             select {id}, u.id, 'Default', {yes}, 1, 1 from users u \
             where not exists (select 1 from memory_profiles p where p.user_id = u.id)"
        ),
        format!(
            "{} insert into chat_sessions (id, user_id, profile_id, privacy_mode, created_at, updated_at) \
             select {id}, p.user_id, p.id, 'normal', i, i from memory_profiles p, n where p.is_default",
            count(sessions)
        ),
        format!(
            "{} insert into chat_messages (id, user_id, session_id, seq, memory_mode, status, role, \
             content, alive_at, created_at) select {id}, s.user_id, s.id, i, 'normal', 'complete', \
             case i % 2 when 1 then 'user' else 'assistant' end, \
             'Something that was said, of about the usual length, number ' || i, i, i \
             from chat_sessions s, n",
            count(messages)
        ),
        format!(
            "{} insert into memories (id, user_id, profile_id, content, fingerprint, origin, version, \
             created_at, updated_at, indexed_version, indexed_vector) \
             select {id}, p.user_id, p.id, 'A thing to remember, number ' || i, {id}, 'manual', 1, i, i, 1, {yes} \
             from memory_profiles p, n where p.is_default",
            count(memories)
        ),
        "analyze".to_owned(),
    ]
}
