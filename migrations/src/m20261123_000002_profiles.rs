//! Memory profiles: exactly one default per user, held by an index, so under concurrency too.

crate::change!();

const SQL: &str = "
create table memory_profiles (
    id {uuid} primary key,
    user_id {uuid} not null references users on delete cascade,
    name text not null,
    description text,
    is_default {bool} not null,
    created_at {int} not null,
    updated_at {int} not null,
    constraint memory_profiles_owner unique (user_id, id),
    constraint memory_profiles_name unique (user_id, name)
) {strict};
create unique index memory_profiles_default on memory_profiles (user_id) where is_default;
";
