//! Two users with one row of everything, and questions about them.

use adapter_sql::SqlStore;
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, RuntimeErr, Statement,
};
use testkit::servers::Postgres;

use crate::common::open_postgres;

pub(crate) const A: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
pub(crate) const B: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";

/// Two users with one row of everything; ids end in the letter of their user.
const ROWS: &str = "
insert into mc.users (id, email, is_active, created_at, updated_at)
    values ('{A}', 'a@x.org', true, 1, 1), ('{B}', 'b@x.org', true, 1, 1);
insert into mc.user_credentials values ('{A}', 'hash a', 1), ('{B}', 'hash b', 1);
insert into mc.logins values ('00000000-0000-0000-0001-00000000000a', '{A}', 1, 1, 9),
    ('00000000-0000-0000-0001-00000000000b', '{B}', 1, 1, 9);
insert into mc.api_keys values ('00000000-0000-0000-0002-00000000000a', '{A}', 'k', 'p', 'key a', '', 1),
    ('00000000-0000-0000-0002-00000000000b', '{B}', 'k', 'p', 'key b', '', 1);
insert into mc.memory_profiles values ('00000000-0000-0000-0003-00000000000a', '{A}', 'p', null, true, 1, 1),
    ('00000000-0000-0000-0003-00000000000b', '{B}', 'p', null, true, 1, 1);
insert into mc.chat_sessions values
    ('00000000-0000-0000-0004-00000000000a', '{A}', '00000000-0000-0000-0003-00000000000a', 'normal', 1, 1),
    ('00000000-0000-0000-0004-00000000000b', '{B}', '00000000-0000-0000-0003-00000000000b', 'normal', 1, 1);
insert into mc.chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, alive_at, created_at) values
    ('00000000-0000-0000-0005-00000000000a', '{A}', '00000000-0000-0000-0004-00000000000a', 1, 'normal', 'complete', 'user', 'x', 1, 1),
    ('00000000-0000-0000-0005-00000000000c', '{A}', '00000000-0000-0000-0004-00000000000a', 2, 'pause_memories', 'complete', 'user', 'x', 1, 1),
    ('00000000-0000-0000-0005-00000000000b', '{B}', '00000000-0000-0000-0004-00000000000b', 1, 'normal', 'streaming', 'assistant', 'x', 1, 1);
insert into mc.memories (id, user_id, profile_id, content, fingerprint, origin, version, created_at, updated_at, indexed_vector) values
    ('00000000-0000-0000-0006-00000000000a', '{A}', '00000000-0000-0000-0003-00000000000a', 'x', gen_random_uuid(), 'manual', 1, 1, 1, false),
    ('00000000-0000-0000-0006-00000000000b', '{B}', '00000000-0000-0000-0003-00000000000b', 'x', gen_random_uuid(), 'manual', 1, 1, 1, false);
insert into mc.outbox (id, user_id, kind, subject_id, profile_id, state, attempts, available_at) values
    ('00000000-0000-0000-0007-00000000000a', '{A}', 'index', '00000000-0000-0000-0006-00000000000a', '00000000-0000-0000-0003-00000000000a', 'pending', 0, 1),
    ('00000000-0000-0000-0007-00000000000b', '{B}', 'index', '00000000-0000-0000-0006-00000000000b', '00000000-0000-0000-0003-00000000000b', 'pending', 0, 1);
insert into mc.index_revisions values ('{A}', '00000000-0000-0000-0003-00000000000a', 1),
    ('{B}', '00000000-0000-0000-0003-00000000000b', 1);
insert into mc.memory_vectors values
    ('00000000-0000-0000-0006-00000000000a', '{A}', '00000000-0000-0000-0003-00000000000a', null, '', 0, 1),
    ('00000000-0000-0000-0006-00000000000b', '{B}', '00000000-0000-0000-0003-00000000000b', null, '', 0, 1);
";

pub(crate) async fn rows<C: ConnectionTrait>(db: &C, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await
}

pub(crate) async fn texts<C: ConnectionTrait>(db: &C, sql: &str) -> Vec<String> {
    let rows = rows(db, sql).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

/// How many rows a statement reads or changes (it returns what it changes), or the code of its refusal.
pub(crate) async fn outcome(tx: &DatabaseTransaction, sql: &str) -> String {
    match rows(tx, sql).await {
        Ok(rows) => rows.len().to_string(),
        Err(
            DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error)),
        ) => match &*error {
            SqlxError::Database(error) => error.code().unwrap_or_default().into_owned(),
            other => panic!("{sql}: {other}"),
        },
        Err(other) => panic!("{sql}: {other}"),
    }
}

/// A statement for the rows of A and one for those of B, from words with `{A}` and `{a}`.
pub(crate) fn of(letter: char, sql: &str) -> String {
    let user = if letter == 'a' { A } else { B };
    sql.replace("{A}", user).replace("{a}", &letter.to_string())
}

pub(crate) async fn database(server: &Postgres) -> (SqlStore, SqlStore) {
    let (owner, runtime) = open_postgres(server).await;
    let sql = ROWS.replace("{A}", A).replace("{B}", B);
    owner.connection().execute_unprepared(&sql).await.unwrap();
    (owner, runtime)
}
