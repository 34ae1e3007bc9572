//! Postgres only: who may write the version of an index entry, and a door through which the entries of
//! all users can be compared with the profiles.

crate::change!(postgres);

const SQL: &str = "
grant update (version) on mc.memory_vectors to mc_app, mc_worker;

create function mc.list_index_owners(p_after uuid, p_limit bigint)
    returns table (memory_id uuid, user_id uuid, profile_id uuid)
    language sql stable security definer set search_path = '' as $$
    select v.memory_id, v.user_id, v.profile_id from mc.memory_vectors v
    where v.memory_id > p_after order by v.memory_id limit p_limit $$;

grant create on schema mc to mc_definer;
revoke all on function mc.list_index_owners(uuid, bigint) from public;
grant execute on function mc.list_index_owners(uuid, bigint) to mc_login;
do $$
begin
    execute format('grant execute on function mc.list_index_owners(uuid, bigint) to %I', current_user);
end $$;
alter function mc.list_index_owners(uuid, bigint) owner to mc_definer;
revoke create on schema mc from mc_definer;
";
