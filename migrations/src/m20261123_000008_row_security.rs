//! Postgres only: two roles that own nothing, row level security on every table, and the doors.
//!
//! | role         | logs in | may                                                                  |
//! |--------------|---------|----------------------------------------------------------------------|
//! | `mc_app`     | no      | what requests need, on the rows of `mc.user_id`                       |
//! | `mc_worker`  | no      | what jobs need, on the rows of `mc.user_id`                           |
//! | `mc_login`   | yes     | become one of the two inside a transaction; open the doors            |
//! | `mc_definer` | no      | own the doors; its policies name what they read                       |
//!
//! A unit of work says who it is for with `set_config('mc.user_id', ..., true)`; without that nothing
//! is visible and nothing can be written. A door is a `security definer` function past that wall, for
//! what must be asked before the owner is known, or of all owners: each answers one question.
//! Row level security is forced, so that it binds the owner of the tables too: a later change that
//! has to alter rows must lift it (`no force row level security`) and put it back.

crate::change!(postgres);

const SQL: &str = "
do $$
declare
    role text;
    -- From version 16 on, whoever makes a role is its member, and yet may not act for it.
    acts text := case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end;
begin
    foreach role in array array['mc_app', 'mc_worker', 'mc_definer'] loop
        begin
            execute format('create role %I nologin noinherit', role);
        exception when duplicate_object or unique_violation then null;
        end;
    end loop;
    begin
        create role mc_login login noinherit;
    exception when duplicate_object or unique_violation then null;
    end;
    if not pg_has_role('mc_login', 'mc_app', 'member') then grant mc_app to mc_login; end if;
    if not pg_has_role('mc_login', 'mc_worker', 'member') then grant mc_worker to mc_login; end if;
    foreach role in array array['mc_app', 'mc_worker', 'mc_definer'] loop
        if not pg_has_role(current_user, role, acts) then
            execute format('grant %I to %I', role, current_user);
        end if;
    end loop;
end $$;

revoke all on schema mc from public;
grant usage on schema mc to mc_app, mc_worker, mc_login;
grant usage, create on schema mc to mc_definer;

create function mc.uid() returns uuid language sql stable parallel safe as
    $$ select nullif(pg_catalog.current_setting('mc.user_id', true), '')::pg_catalog.uuid $$;
revoke all on function mc.uid() from public;
grant execute on function mc.uid() to mc_app, mc_worker, mc_definer;

-- What each role may do to which column, whoever's row it is.
grant select, insert, delete on mc.users to mc_app;
grant update (email, updated_at) on mc.users to mc_app;
grant select on mc.users to mc_worker;
grant insert on mc.user_credentials to mc_app;
grant select (user_id), update (password_hash, updated_at) on mc.user_credentials to mc_app;
grant select, insert, delete on mc.logins, mc.api_keys to mc_app;
grant update (generation, expires_at, revoked_at) on mc.logins to mc_app;
grant update (revoked_at) on mc.api_keys to mc_app;
grant select, insert, delete on mc.memory_profiles, mc.chat_sessions, mc.chat_messages to mc_app;
grant update (name, description, is_default, updated_at) on mc.memory_profiles to mc_app;
grant update (profile_id, privacy_mode, updated_at) on mc.chat_sessions to mc_app;
grant update (status, content, model, prompt_tokens, completion_tokens, finish_reason, alive_at)
    on mc.chat_messages to mc_app;
grant select on mc.memory_profiles, mc.chat_sessions, mc.chat_messages to mc_worker;
grant select, insert, delete on mc.memories to mc_app, mc_worker;
grant update (content, fingerprint, version, updated_at, indexed_version, indexed_vector)
    on mc.memories to mc_app, mc_worker;
grant insert on mc.outbox to mc_app;
grant select, insert, delete on mc.outbox to mc_worker;
grant update (attempts, available_at, locked_until, state, last_error) on mc.outbox to mc_worker;
grant select, insert, delete on mc.index_revisions, mc.memory_vectors to mc_app, mc_worker;
grant update (revision) on mc.index_revisions to mc_app, mc_worker;
grant update (vector, terms, length, revision) on mc.memory_vectors to mc_app, mc_worker;
grant select, insert on mc.index_space to mc_app, mc_worker;
grant select on mc.seaql_migrations to mc_login, mc_app, mc_worker;

do $$
declare t text;
begin
    for t in select tablename from pg_tables where schemaname = 'mc' loop
        execute format('revoke all on mc.%I from public', t);
        execute format('alter table mc.%I enable row level security', t);
        execute format('alter table mc.%I force row level security', t);
    end loop;
    foreach t in array array['logins', 'api_keys', 'memory_profiles', 'chat_sessions',
            'chat_messages', 'memories', 'outbox', 'index_revisions', 'memory_vectors'] loop
        execute format('create policy own_select on mc.%I for select to mc_app, mc_worker
            using (user_id = (select mc.uid()))', t);
        execute format('create policy own_insert on mc.%I for insert to mc_app, mc_worker
            with check (user_id = (select mc.uid()))', t);
        execute format('create policy own_update on mc.%I for update to mc_app, mc_worker
            using (user_id = (select mc.uid())) with check (user_id = (select mc.uid()))', t);
        execute format('create policy own_delete on mc.%I for delete to mc_app, mc_worker
            using (user_id = (select mc.uid()))', t);
    end loop;
end $$;

create policy own_select on mc.users for select to mc_app, mc_worker using (id = (select mc.uid()));
create policy own_insert on mc.users for insert to mc_app with check (id = (select mc.uid()));
create policy own_update on mc.users for update to mc_app
    using (id = (select mc.uid())) with check (id = (select mc.uid()));
create policy own_delete on mc.users for delete to mc_app using (id = (select mc.uid()));
create policy own_select on mc.user_credentials for select to mc_app
    using (user_id = (select mc.uid()));
create policy own_insert on mc.user_credentials for insert to mc_app
    with check (user_id = (select mc.uid()));
create policy own_update on mc.user_credentials for update to mc_app
    using (user_id = (select mc.uid())) with check (user_id = (select mc.uid()));
-- Which model the vectors are of, and which changes were made: nobody's rows.
create policy space_select on mc.index_space for select to mc_app, mc_worker using (true);
create policy space_insert on mc.index_space for insert to mc_app, mc_worker with check (true);
create policy changes_select on mc.seaql_migrations for select to mc_login, mc_app, mc_worker
    using (true);
create policy changes_owner on mc.seaql_migrations for select to current_user using (true);
create policy changes_made on mc.seaql_migrations for insert to current_user with check (true);

-- What the doors may read and write.
grant select on mc.users, mc.user_credentials, mc.logins, mc.api_keys, mc.outbox to mc_definer;
grant select (id, user_id) on mc.memory_profiles to mc_definer;
grant select (id, user_id, profile_id, version, indexed_version, indexed_vector) on mc.memories
    to mc_definer;
grant select (id, status, alive_at) on mc.chat_messages to mc_definer;
grant update (status) on mc.chat_messages to mc_definer;
grant update (attempts, locked_until) on mc.outbox to mc_definer;
grant update (indexed_version, indexed_vector) on mc.memories to mc_definer;
grant select, update (revision) on mc.index_revisions to mc_definer;
grant select, delete on mc.memory_vectors, mc.index_space to mc_definer;
grant insert on mc.index_space to mc_definer;
do $$
declare t text;
begin
    foreach t in array array['users', 'user_credentials', 'logins', 'api_keys', 'memory_profiles',
            'memories', 'chat_messages', 'outbox', 'index_revisions', 'memory_vectors',
            'index_space'] loop
        execute format('create policy door_select on mc.%I for select to mc_definer using (true)', t);
    end loop;
    foreach t in array array['chat_messages', 'outbox', 'memories', 'index_revisions'] loop
        execute format('create policy door_update on mc.%I for update to mc_definer
            using (true) with check (true)', t);
    end loop;
    foreach t in array array['memory_vectors', 'index_space'] loop
        execute format('create policy door_delete on mc.%I for delete to mc_definer using (true)', t);
    end loop;
end $$;
create policy door_insert on mc.index_space for insert to mc_definer with check (true);

-- Before it is known who asks.
create function mc.find_credential(p_email text)
    returns table (user_id uuid, password_hash text, is_active boolean)
    language sql stable security definer set search_path = '' as $$
    select u.id, c.password_hash, u.is_active
    from mc.users u join mc.user_credentials c on c.user_id = u.id
    where u.email = p_email and u.issuer is null $$;
create function mc.find_login(p_id uuid)
    returns table (id uuid, user_id uuid, generation bigint, created_at bigint, expires_at bigint,
        revoked_at bigint, user_is_active boolean)
    language sql stable security definer set search_path = '' as $$
    select l.id, l.user_id, l.generation, l.created_at, l.expires_at, l.revoked_at, u.is_active
    from mc.logins l join mc.users u on u.id = l.user_id where l.id = p_id $$;
create function mc.find_api_key(p_hash text) returns setof mc.api_keys
    language sql stable security definer set search_path = '' as $$
    select k.* from mc.api_keys k join mc.users u on u.id = k.user_id
    where k.hash = p_hash and u.is_active $$;

-- For the workers: ids, states and times of all owners, never what anybody said.
create function mc.claim_jobs(p_now bigint, p_until bigint, p_limit bigint) returns setof mc.outbox
    language sql volatile security definer set search_path = '' as $$
    update mc.outbox o set attempts = o.attempts + 1, locked_until = p_until
    where o.id in (select i.id from mc.outbox i where i.state = 'pending' and i.available_at <= p_now
            and (i.locked_until is null or i.locked_until <= p_now)
        order by i.available_at, i.id limit p_limit for update skip locked)
    returning o.* $$;
create function mc.release_jobs() returns bigint
    language sql volatile security definer set search_path = '' as $$
    with released as (update mc.outbox set locked_until = null
        where state = 'pending' and locked_until is not null returning 1)
    select count(*) from released $$;
create function mc.queue_depth() returns table (state text, jobs bigint)
    language sql stable security definer set search_path = '' as $$
    select o.state, count(*) from mc.outbox o group by o.state $$;
create function mc.dead_jobs(p_limit bigint) returns setof mc.outbox
    language sql stable security definer set search_path = '' as $$
    select * from mc.outbox where state = 'dead' order by id desc limit p_limit $$;
create function mc.interrupt_stale(p_before bigint) returns bigint
    language sql volatile security definer set search_path = '' as $$
    with stale as (update mc.chat_messages set status = 'interrupted'
        where status = 'streaming' and alive_at < p_before returning 1)
    select count(*) from stale $$;
create function mc.list_profiles(p_user uuid, p_profile uuid, p_limit bigint)
    returns table (user_id uuid, id uuid)
    language sql stable security definer set search_path = '' as $$
    select p.user_id, p.id from mc.memory_profiles p
    where p_user is null or (p.user_id, p.id) > (p_user, p_profile)
    order by p.user_id, p.id limit p_limit $$;
create function mc.list_unindexed(p_with_vectors boolean, p_limit bigint)
    returns table (user_id uuid, profile_id uuid, id uuid)
    language sql stable security definer set search_path = '' as $$
    select m.user_id, m.profile_id, m.id from mc.memories m
    where (m.indexed_version is null or m.indexed_version <> m.version or not m.indexed_vector)
      and (p_with_vectors or m.indexed_version is null or m.indexed_version <> m.version)
      and not exists (select 1 from mc.outbox o where o.user_id = m.user_id
          and o.subject_id = m.id and o.kind = 'index' and o.state = 'pending')
    order by m.id limit p_limit $$;
create function mc.clear_index(p_model text, p_dimension bigint) returns void
    language sql volatile security definer set search_path = '' as $$
    delete from mc.memory_vectors;
    delete from mc.index_space;
    update mc.index_revisions set revision = revision + 1;
    update mc.memories set indexed_version = null, indexed_vector = false
        where indexed_version is not null;
    insert into mc.index_space (id, model, dimension)
        select 1, p_model, p_dimension where p_model is not null $$;

do $$
declare door regprocedure;
begin
    for door in select p.oid from pg_proc p where p.pronamespace = 'mc'::regnamespace and p.prosecdef
    loop
        execute format('revoke all on function %s from public', door);
        execute format('grant execute on function %s to mc_login', door);
        execute format('grant execute on function %s to %I', door, current_user);
        execute format('alter function %s owner to mc_definer', door);
    end loop;
end $$;
revoke create on schema mc from mc_definer;
";
