//! Postgres only: a job that was dated by a clock which has been set back since can be claimed all the
//! same. The version before this one goes on with it as before. As an array the ids are looked up by the
//! primary key, however many jobs there are.

crate::change!(postgres);

/// The number is `domain::jobs::LONGEST_WAIT`, in microseconds.
const SQL: &str = "
create or replace function mc.claim_jobs(p_now bigint, p_until bigint, p_limit bigint)
    returns setof mc.outbox
    language sql volatile security definer set search_path = '' as $$
    update mc.outbox o set attempts = o.attempts + 1, locked_until = p_until
    where o.id = any (array(select i.id from mc.outbox i where i.state = 'pending'
            and (i.available_at <= p_now or i.available_at > p_now + 600000000)
            and (i.locked_until is null or i.locked_until <= p_now
                or i.locked_until > p_until + p_until - p_now)
        order by i.available_at, i.id limit p_limit for update skip locked))
    returning o.* $$;
";
