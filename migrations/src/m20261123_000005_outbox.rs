//! Work to be done after a commit, stored by that commit.

crate::change!();

const SQL: &str = "
create table outbox (
    id {uuid} primary key,
    user_id {uuid} not null references users on delete cascade,
    kind text not null,
    subject_id {uuid} not null,
    profile_id {uuid} not null,
    state text not null,
    attempts {int} not null,
    available_at {int} not null,
    locked_until {int},
    last_error text,
    constraint outbox_kind check (kind in ('learn', 'index', 'sweep')),
    constraint outbox_state check (state in ('pending', 'dead'))
) {strict};
create index outbox_ready on outbox (available_at, id) where state = 'pending';
create index outbox_dead on outbox (id) where state = 'dead';
create index outbox_subject on outbox (user_id, subject_id);
";
