//! Log-ins end, also those that another issuer opened: until now these were said to last until the year
//! 9999. The next token of one that lives says when it ends. And a door on Postgres through which those
//! that ended long ago are removed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// This change.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// 9999-01-01 and ninety days, in microseconds.
const SQL: &str = "
update logins set expires_at = created_at + 7776000000000 where expires_at = 253370764800000000;
create index logins_expires on logins (expires_at);
";

/// Row level security binds the owner too, who would change no row.
const LIFT: &str = "alter table mc.logins no force row level security;";

const DOOR: &str = "
alter table mc.logins force row level security;

grant delete on mc.logins to mc_definer;
create policy door_delete on mc.logins for delete to mc_definer using (true);
create function mc.remove_ended_logins(p_before bigint, p_limit bigint) returns bigint
    language sql volatile security definer set search_path = '' as $$
    with removed as (delete from mc.logins where id = any (array(select l.id from mc.logins l
            where l.expires_at < p_before order by l.expires_at limit p_limit))
        returning 1)
    select count(*) from removed $$;

grant create on schema mc to mc_definer;
revoke all on function mc.remove_ended_logins(bigint, bigint) from public;
grant execute on function mc.remove_ended_logins(bigint, bigint) to mc_login;
do $$
begin
    execute format('grant execute on function mc.remove_ended_logins(bigint, bigint) to %I', current_user);
end $$;
alter function mc.remove_ended_logins(bigint, bigint) owner to mc_definer;
revoke create on schema mc from mc_definer;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            crate::apply(manager, &format!("{LIFT}{SQL}{DOOR}")).await
        } else {
            crate::apply(manager, SQL).await
        }
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
