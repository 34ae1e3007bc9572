//! Postgres only: doors through which jobs that were given up are tried again or forgotten.

crate::change!(postgres);

const SQL: &str = "
grant delete on mc.outbox to mc_definer;
grant update (state, available_at) on mc.outbox to mc_definer;
create policy door_delete on mc.outbox for delete to mc_definer using (true);

create function mc.revive_jobs(p_id uuid, p_kind text, p_now bigint) returns bigint
    language sql volatile security definer set search_path = '' as $$
    with revived as (update mc.outbox set state = 'pending', attempts = 0, available_at = p_now
        where state = 'dead' and (p_id is null or id = p_id) and (p_kind is null or kind = p_kind)
        returning 1)
    select count(*) from revived $$;
create function mc.forget_jobs(p_id uuid, p_kind text) returns bigint
    language sql volatile security definer set search_path = '' as $$
    with forgotten as (delete from mc.outbox
        where state = 'dead' and (p_id is null or id = p_id) and (p_kind is null or kind = p_kind)
        returning 1)
    select count(*) from forgotten $$;
create function mc.forget_settled_jobs(p_with_vectors boolean) returns bigint
    language sql volatile security definer set search_path = '' as $$
    with forgotten as (delete from mc.outbox o where o.state = 'dead' and (o.kind = 'sweep' or o.kind = 'index'
        and (not exists (select 1 from mc.memories m where m.user_id = o.user_id and m.id = o.subject_id
                and (m.indexed_version is null or m.indexed_version <> m.version
                    or p_with_vectors and not m.indexed_vector))
            or exists (select 1 from mc.outbox l where l.user_id = o.user_id and l.subject_id = o.subject_id
                and l.kind = 'index' and l.state = 'dead' and l.id > o.id)))
        returning 1)
    select count(*) from forgotten $$;

grant create on schema mc to mc_definer;
do $$
declare door text;
begin
    foreach door in array array['revive_jobs(uuid, text, bigint)', 'forget_jobs(uuid, text)',
            'forget_settled_jobs(boolean)'] loop
        execute format('revoke all on function mc.%s from public', door);
        execute format('grant execute on function mc.%s to mc_login', door);
        execute format('grant execute on function mc.%s to %I', door, current_user);
        execute format('alter function mc.%s owner to mc_definer', door);
    end loop;
end $$;
revoke create on schema mc from mc_definer;
";
