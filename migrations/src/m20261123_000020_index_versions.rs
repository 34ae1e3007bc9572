//! Of which version of its memory an index entry was made, so that it can be compared with the row.

crate::change!();

const SQL: &str = "
alter table memory_vectors add column version {int} not null default 0;
update memory_vectors set version = coalesce(
    (select m.indexed_version from memories m where m.id = memory_vectors.memory_id), 0);
";
