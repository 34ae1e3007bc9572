//! People, their passwords, log-ins and API keys.

crate::change!();

const SQL: &str = "
create table users (
    id {uuid} primary key,
    email text not null,
    is_active {bool} not null,
    created_at {int} not null,
    updated_at {int} not null,
    constraint users_email unique (email)
) {strict};

create table user_credentials (
    user_id {uuid} primary key references users on delete cascade,
    password_hash text not null,
    updated_at {int} not null
) {strict};

create table logins (
    id {uuid} primary key,
    user_id {uuid} not null references users on delete cascade,
    generation {int} not null,
    created_at {int} not null,
    expires_at {int} not null,
    revoked_at {int}
) {strict};
create index logins_user on logins (user_id);

create table api_keys (
    id {uuid} primary key,
    user_id {uuid} not null references users on delete cascade,
    name text not null,
    prefix text not null,
    hash text not null,
    scopes text not null,
    created_at {int} not null,
    expires_at {int},
    revoked_at {int},
    constraint api_keys_hash unique (hash)
) {strict};
create index api_keys_user on api_keys (user_id, created_at, id);
";
