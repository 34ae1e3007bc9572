//! No table without a wall, no grant to anybody else, and the doors past the wall: these and no others.

use testkit::servers::Postgres;

use crate::rows::{database, texts};

/// Past row level security, and nothing else: their names, arguments and answers.
const DOORS: [&str; 16] = [
    "claim_jobs(p_now bigint, p_until bigint, p_limit bigint) -> SETOF outbox",
    "clear_index(p_model text, p_dimension bigint) -> void",
    "dead_jobs(p_limit bigint) -> SETOF outbox",
    "find_api_key(p_hash text) -> SETOF api_keys",
    "find_credential(p_email text) -> TABLE(user_id uuid, password_hash text, is_active boolean)",
    "find_login(p_id uuid) -> TABLE(id uuid, user_id uuid, generation bigint, created_at bigint, \
     expires_at bigint, revoked_at bigint, user_is_active boolean)",
    "forget_jobs(p_id uuid, p_kind text) -> bigint",
    "forget_settled_jobs(p_with_vectors boolean) -> bigint",
    "interrupt_stale(p_before bigint) -> bigint",
    "list_index_owners(p_after uuid, p_limit bigint) -> TABLE(memory_id uuid, user_id uuid, profile_id uuid)",
    "list_profiles(p_user uuid, p_profile uuid, p_limit bigint) -> TABLE(user_id uuid, id uuid)",
    "list_unindexed(p_with_vectors boolean, p_limit bigint) -> TABLE(user_id uuid, profile_id uuid, id uuid)",
    "queue_depth() -> TABLE(state text, jobs bigint)",
    "release_jobs() -> bigint",
    "remove_ended_logins(p_before bigint, p_limit bigint) -> bigint",
    "revive_jobs(p_id uuid, p_kind text, p_now bigint) -> bigint",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_shows_no_gap() {
    let Some(server) = Postgres::start() else {
        return;
    };
    // As on Supabase, where these two are given everything in `public` by default.
    let (owner, _) = database(&server).await;
    let db = owner.connection();
    let none: [&str; 0] = [];

    let unguarded = "select relname::text from pg_class where relnamespace = 'mc'::regnamespace \
                     and relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)";
    assert_eq!(
        texts(db, unguarded).await,
        none,
        "tables without forced row level security"
    );

    let granted = "select grantee || ' ' || table_name from information_schema.table_privileges \
        where table_schema = 'mc' and grantee not in (current_user, 'mc_app', 'mc_worker', 'mc_login', 'mc_definer') \
        union select 'function ' || p.oid::regprocedure from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g \
        where p.pronamespace = 'mc'::regnamespace and g.grantee = 0 \
        union select 'schema' from pg_namespace n, aclexplode(n.nspacl) g where n.nspname = 'mc' and g.grantee = 0";
    assert_eq!(texts(db, granted).await, none, "grants to anybody else");

    let doors = "select p.proname || '(' || pg_get_function_arguments(p.oid) || ') -> ' || pg_get_function_result(p.oid) \
        from pg_proc p where p.pronamespace = 'mc'::regnamespace and p.prosecdef order by 1";
    assert_eq!(texts(db, doors).await, DOORS);
    let loose = "select proname::text from pg_proc where pronamespace = 'mc'::regnamespace and prosecdef \
        and (proconfig is null or not 'search_path=\"\"' = any (proconfig) or proowner <> 'mc_definer'::regrole)";
    assert_eq!(
        texts(db, loose).await,
        none,
        "doors with a search path or another owner"
    );

    let mighty = "select rolname::text from pg_roles where rolname like 'mc\\_%' \
        and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolinherit \
             or (rolcanlogin and rolname <> 'mc_login'))";
    assert_eq!(texts(db, mighty).await, none, "roles that may too much");
    let owned = "select relname::text from pg_class where relnamespace = 'mc'::regnamespace \
        and relowner in (select oid from pg_roles where rolname like 'mc\\_%')";
    assert_eq!(texts(db, owned).await, none, "tables of a role that serves");

    // One policy for each operation, the identity asked once for a statement and not for each row.
    let careless = "select tablename || '.' || policyname from pg_policies where schemaname = 'mc' \
        and (cmd = 'ALL' or permissive <> 'PERMISSIVE' or 'public' = any (roles) \
             or concat(qual, with_check) ~ 'uid\\(' and concat(qual, with_check) !~ 'SELECT (mc\\.)?uid\\(')";
    assert_eq!(texts(db, careless).await, none, "careless policies");
    let changing = "select tablename || '.' || policyname from pg_policies \
        where schemaname = 'mc' and cmd = 'UPDATE' and (qual is null or with_check is null)";
    assert_eq!(
        texts(db, changing).await,
        none,
        "updates that are checked on one side"
    );

    let unindexed = "select c.table_name::text from information_schema.columns c \
        where c.table_schema = 'mc' and c.column_name = 'user_id' and not exists ( \
            select 1 from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] \
            where i.indrelid = ('mc.' || c.table_name)::regclass and a.attname = 'user_id' and i.indpred is null)";
    assert_eq!(
        texts(db, unindexed).await,
        none,
        "policies that no index leads"
    );
}
