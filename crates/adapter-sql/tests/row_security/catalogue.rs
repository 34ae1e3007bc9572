//! No table without a wall, no grant to anybody else, and the doors past the wall: these and no others.

use adapter_sql::{SqlConfig, SqlStore};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use testkit::servers::Postgres;

use crate::common::{open, owned_url};
use crate::rows::texts;

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

/// As on Supabase: roles of its own, which are given everything that is made in `public`.
const SUPABASE: &str = "
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role landlord in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges for role landlord in schema public
    grant all on functions to anon, authenticated, service_role;
alter default privileges for role landlord in schema public
    grant all on sequences to anon, authenticated, service_role;
";

/// Policies that let others pass than the owner of a row: name, operation, roles, condition to read and to
/// write, tables.
const EXCEPTIONS: [&str; 9] = [
    "changes_made INSERT {landlord} - true: seaql_migrations",
    "changes_owner SELECT {landlord} true -: seaql_migrations",
    "changes_select SELECT {mc_app,mc_login,mc_worker} true -: seaql_migrations",
    "door_delete DELETE {mc_definer} true -: index_space logins memory_vectors outbox",
    "door_insert INSERT {mc_definer} - true: index_space",
    "door_select SELECT {mc_definer} true -: api_keys chat_messages index_revisions index_space logins memories \
     memory_profiles memory_vectors outbox user_credentials users",
    "door_update UPDATE {mc_definer} true true: chat_messages index_revisions outbox",
    "space_insert INSERT {mc_app,mc_worker} - true: index_space",
    "space_select SELECT {mc_app,mc_worker} true -: index_space",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_shows_no_gap() {
    for server in Postgres::each() {
        let url = owned_url(&server).await;
        let admin = SqlConfig::new(url.replace("landlord@", "postgres@"));
        let admin = SqlStore::connect(&admin).await.unwrap();
        let db = admin.connection();
        db.execute_unprepared(SUPABASE).await.unwrap();
        open(url).await;
        nobody_else_may_do_anything(db).await;
        only_the_owner_of_a_row_passes(db).await;
        roles_own_and_may_what_they_must(db).await;
    }
}

const NONE: [&str; 0] = [];

async fn nobody_else_may_do_anything(db: &DatabaseConnection) {
    // Grants to all include those to these.
    let within_reach = "select r.rolname || ' ' || c.relname from pg_class c, pg_roles r \
        where c.relnamespace = 'mc'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') \
        and r.rolname in ('anon', 'authenticated', 'service_role') \
        and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate, references, trigger') \
             or has_any_column_privilege(r.oid, c.oid, 'select, insert, update, references')) \
        union all select r.rolname || ' ' || p.proname from pg_proc p, pg_roles r \
        where p.pronamespace = 'mc'::regnamespace and r.rolname in ('anon', 'authenticated', 'service_role') \
        and has_function_privilege(r.oid, p.oid, 'execute') \
        union all select rolname || ' mc' from pg_roles \
        where rolname in ('anon', 'authenticated', 'service_role') and has_schema_privilege(oid, 'mc', 'usage, create')";
    assert_eq!(texts(db, within_reach).await, NONE, "as on Supabase");
    let granted = "with grants (object, grantee) as ( \
            select c.relname::text, g.grantee from pg_class c, aclexplode(c.relacl) g where c.relnamespace = 'mc'::regnamespace \
            union select c.relname || '.' || a.attname, g.grantee \
                from pg_class c join pg_attribute a on a.attrelid = c.oid, aclexplode(a.attacl) g \
                where c.relnamespace = 'mc'::regnamespace \
            union select p.proname::text, g.grantee \
                from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g \
                where p.pronamespace = 'mc'::regnamespace \
            union select nspname::text, g.grantee from pg_namespace, aclexplode(nspacl) g where nspname = 'mc') \
        select object || ' to ' || grantee::regrole from grants where grantee::regrole::text \
            not in ('landlord', 'mc_app', 'mc_worker', 'mc_login', 'mc_definer')";
    assert_eq!(texts(db, granted).await, NONE, "grants to anybody else");
    let outside = "select relname::text from pg_class where relnamespace = 'public'::regnamespace";
    assert_eq!(texts(db, outside).await, NONE, "tables outside the schema");
}

async fn only_the_owner_of_a_row_passes(db: &DatabaseConnection) {
    let unguarded = "select relname::text from pg_class where relnamespace = 'mc'::regnamespace \
                     and relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)";
    assert_eq!(
        texts(db, unguarded).await,
        NONE,
        "tables without forced row level security"
    );
    // One policy for each operation, the identity asked once for a statement and not for each row.
    let others = "with policies as (select *, format('(%s = ( SELECT uid() AS uid))', \
                case tablename when 'users' then 'id' else 'user_id' end) as own \
            from pg_policies where schemaname = 'mc') \
        select concat_ws(' ', policyname, cmd, roles::text, coalesce(qual, '-'), coalesce(with_check, '-')) \
            || ': ' || string_agg(tablename, ' ' order by tablename) \
        from policies where not (permissive = 'PERMISSIVE' and roles <@ '{mc_app,mc_worker}' \
            and case cmd when 'INSERT' then qual is null and with_check = own \
                when 'UPDATE' then qual = own and with_check = own \
                when 'ALL' then false else qual = own and with_check is null end) \
        group by policyname, cmd, roles, permissive, qual, with_check order by 1";
    assert_eq!(texts(db, others).await, EXCEPTIONS);

    let unindexed = "select c.table_name::text from information_schema.columns c \
        where c.table_schema = 'mc' and c.column_name = 'user_id' and not exists ( \
            select 1 from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] \
            where i.indrelid = ('mc.' || c.table_name)::regclass and a.attname = 'user_id' and i.indpred is null)";
    assert_eq!(
        texts(db, unindexed).await,
        NONE,
        "policies that no index leads"
    );
}

async fn roles_own_and_may_what_they_must(db: &DatabaseConnection) {
    let doors = "select p.proname || '(' || pg_get_function_arguments(p.oid) || ') -> ' || pg_get_function_result(p.oid) \
        from pg_proc p where p.pronamespace = 'mc'::regnamespace and p.prosecdef order by 1";
    assert_eq!(texts(db, doors).await, DOORS);
    let loose = "select proname::text from pg_proc where pronamespace = 'mc'::regnamespace and prosecdef \
        and (proconfig is null or not 'search_path=\"\"' = any (proconfig) or proowner <> 'mc_definer'::regrole)";
    assert_eq!(
        texts(db, loose).await,
        NONE,
        "doors with a search path or another owner"
    );

    let mighty = "select rolname::text from pg_roles where rolname like 'mc\\_%' \
        and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolinherit \
             or (rolcanlogin and rolname <> 'mc_login'))";
    assert_eq!(texts(db, mighty).await, NONE, "roles that may too much");
    let owned = "select relname::text from pg_class where relnamespace = 'mc'::regnamespace \
        and relowner in (select oid from pg_roles where rolname like 'mc\\_%')";
    assert_eq!(texts(db, owned).await, NONE, "tables of a role that serves");
}
