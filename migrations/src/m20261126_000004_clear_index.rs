//! Postgres only: clearing the index leaves the memories alone. Which of them the new index holds is
//! recorded by comparing, profile by profile; until now all of them were locked until it was filled.

crate::change!(postgres);

const SQL: &str = "
create or replace function mc.clear_index(p_model text, p_dimension bigint) returns void
    language sql volatile security definer set search_path = '' as $$
    update mc.index_revisions set revision = revision + 1;
    delete from mc.memory_vectors;
    delete from mc.index_space;
    insert into mc.index_space (id, model, dimension)
        select 1, p_model, p_dimension where p_model is not null $$;
revoke update (indexed_version, indexed_vector) on mc.memories from mc_definer;
drop policy door_update on mc.memories;
";
