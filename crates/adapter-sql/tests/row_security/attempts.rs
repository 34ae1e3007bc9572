//! Statements that a role may try, for an owner, for somebody else, and for nobody.

/// A statement, and what comes of it for one's own rows, and for those of somebody else or for nobody's.
pub(crate) type Attempt = (&'static str, &'static str, &'static str);

/// What requests ask.
pub(crate) const REQUESTS: &[Attempt] = &[
    (
        "update mc.users set updated_at = 2 where id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.users where id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.user_credentials set password_hash = 'y' where user_id = '{A}' returning user_id",
        "1",
        "0",
    ),
    (
        "select password_hash from mc.user_credentials where user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.logins set revoked_at = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.api_keys set revoked_at = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.memory_profiles set name = 'y' where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.chat_sessions set updated_at = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.chat_sessions where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.chat_messages set content = 'y' where id = '00000000-0000-0000-0005-00000000000{a}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.chat_messages where id = '00000000-0000-0000-0005-00000000000{a}' returning 1",
        "1",
        "0",
    ),
    (
        "insert into mc.memory_profiles values (gen_random_uuid(), '{A}', 'new', null, false, 1, 1) returning 1",
        "1",
        "42501",
    ),
    (
        "insert into mc.logins values (gen_random_uuid(), '{A}', 1, 1, 9) returning 1",
        "1",
        "42501",
    ),
    (
        "insert into mc.users values ('{A}', 'c@x.org', true, 1, 1) returning 1",
        "23505",
        "42501",
    ),
    (
        "insert into mc.user_credentials values ('{A}', 'y', 1)",
        "23505",
        "42501",
    ),
    (
        "delete from mc.logins where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "insert into mc.api_keys values (gen_random_uuid(), '{A}', 'k', 'p', 'key c', '', 1) returning 1",
        "1",
        "42501",
    ),
    (
        "delete from mc.api_keys where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    // A session hangs on it.
    (
        "delete from mc.memory_profiles where user_id = '{A}' returning 1",
        "23503",
        "0",
    ),
    (
        "insert into mc.chat_sessions values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000{a}', 'normal', 1, 1) returning 1",
        "1",
        "42501",
    ),
    (
        "insert into mc.chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, alive_at, created_at) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0004-00000000000{a}', 9, 'normal', 'complete', 'user', 'x', 1, 1) returning 1",
        "1",
        "42501",
    ),
    // Its place in the session is taken.
    (
        "insert into mc.chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, alive_at, created_at) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0004-00000000000{a}', 1, 'normal', 'complete', 'user', 'x', 1, 1)",
        "23505",
        "42501",
    ),
    // Columns that say whose a row is, or what was decided about it, are not to be changed.
    (
        "update mc.users set is_active = false where id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.chat_sessions set user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.chat_messages set memory_mode = 'normal' where user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.memories set profile_id = '00000000-0000-0000-0003-00000000000{a}'",
        "42501",
        "42501",
    ),
    (
        "update mc.api_keys set scopes = 'all' where user_id = '{A}'",
        "42501",
        "42501",
    ),
    ("update mc.outbox set attempts = 0", "42501", "42501"),
    ("delete from mc.index_space", "42501", "42501"),
    ("truncate mc.memories", "42501", "42501"),
    ("drop table mc.memories", "42501", "42501"),
    // Doors belong to the one who logged in, and jobs to the workers.
    ("select * from mc.claim_jobs(5, 9, 9)", "42501", "42501"),
    // What is no row at all, whoever asks.
    (
        "insert into mc.chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, alive_at, created_at) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0004-00000000000{a}', 9, 'incognito', 'complete', 'user', 'x', 1, 1)",
        "23514",
        "42501",
    ),
    (
        "insert into mc.memories (id, user_id, profile_id, content, fingerprint, origin, version, created_at, updated_at, \
          indexed_vector, source_user_id, source_message_id, source_mode) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000a', 'x', gen_random_uuid(), 'extracted', 1, 1, 1, \
          false, '{A}', '00000000-0000-0000-0005-00000000000c', 'normal')",
        "23503",
        "42501",
    ),
    (
        "insert into mc.chat_sessions values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000b', 'normal', 1, 1)",
        "23503",
        "42501",
    ),
    (
        "insert into mc.memories (id, user_id, profile_id, content, fingerprint, origin, version, created_at, updated_at, indexed_vector) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000b', 'x', gen_random_uuid(), 'manual', 1, 1, 1, false)",
        "23503",
        "42501",
    ),
];

/// What requests and jobs ask.
pub(crate) const BOTH: &[Attempt] = &[
    (
        "insert into mc.memories (id, user_id, profile_id, content, fingerprint, origin, version, created_at, updated_at, indexed_vector) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000{a}', 'x', gen_random_uuid(), 'manual', 1, 1, 1, false) returning 1",
        "1",
        "42501",
    ),
    (
        "update mc.memories set content = 'y' where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.memories where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "insert into mc.outbox (id, user_id, kind, subject_id, profile_id, state, attempts, available_at) \
          values (gen_random_uuid(), '{A}', 'index', '{A}', '{A}', 'pending', 0, 1)",
        "0",
        "42501",
    ),
    (
        "insert into mc.index_revisions values ('{A}', '00000000-0000-0000-0003-00000000000{a}', 1)",
        "23505",
        "42501",
    ),
    (
        "update mc.index_revisions set revision = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.index_revisions where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "insert into mc.memory_vectors values ('00000000-0000-0000-0006-00000000000{a}', '{A}', \
          '00000000-0000-0000-0003-00000000000{a}', null, '', 0, 1)",
        "23505",
        "42501",
    ),
    (
        "update mc.memory_vectors set revision = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.memory_vectors where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
];

/// What jobs ask.
pub(crate) const WORKERS: &[Attempt] = &[
    (
        "update mc.outbox set state = 'dead' where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.outbox where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.outbox set subject_id = '{A}' where user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "insert into mc.chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, alive_at, created_at) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0004-00000000000{a}', 9, 'normal', 'complete', 'user', 'x', 1, 1)",
        "42501",
        "42501",
    ),
    (
        "update mc.chat_messages set content = 'y'",
        "42501",
        "42501",
    ),
    ("delete from mc.chat_sessions", "42501", "42501"),
    ("delete from mc.users", "42501", "42501"),
    ("select * from mc.logins", "42501", "42501"),
    (
        "select * from mc.find_credential('a@x.org')",
        "42501",
        "42501",
    ),
];
