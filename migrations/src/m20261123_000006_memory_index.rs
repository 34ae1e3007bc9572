//! The embedded memory index: derived rows beside the memories, which can be thrown away and rebuilt.

crate::change!();

const SQL: &str = "
create table index_space (
    id {int} primary key,
    model text not null,
    dimension {int} not null,
    constraint index_space_single check (id = 1)
) {strict};

create table index_revisions (
    user_id {uuid} not null,
    profile_id {uuid} not null,
    revision {int} not null,
    primary key (user_id, profile_id),
    constraint index_revisions_profile foreign key (user_id, profile_id)
        references memory_profiles (user_id, id) on delete cascade
) {strict};

create table memory_vectors (
    memory_id {uuid} primary key,
    user_id {uuid} not null,
    profile_id {uuid} not null,
    vector {bytes},
    terms {bytes} not null,
    length {int} not null,
    revision {int} not null,
    constraint memory_vectors_memory foreign key (user_id, profile_id, memory_id)
        references memories (user_id, profile_id, id) on delete cascade
) {strict};
create index memory_vectors_changes on memory_vectors (user_id, profile_id, revision);
";
