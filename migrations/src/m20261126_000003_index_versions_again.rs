//! Postgres only: the versions of index entries once more. The change that brought them wrote none where
//! the owner is no superuser, because row level security hid all rows from it.

crate::change!(postgres);

const SQL: &str = "
alter table mc.memories no force row level security;
alter table mc.memory_vectors no force row level security;
update mc.memory_vectors v set version = m.indexed_version from mc.memories m
    where m.id = v.memory_id and m.indexed_version is not null and v.version = 0;
alter table mc.memories force row level security;
alter table mc.memory_vectors force row level security;
";
