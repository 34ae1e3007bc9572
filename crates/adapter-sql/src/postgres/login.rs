//! Who the program logs in as: somebody who cannot step over row level security, or it must be allowed.

use domain::store::StoreError;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use crate::error::{fault, store_error};

/// Whom the database takes this program for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Somebody who owns nothing and is bound by row level security: as it should be.
    Runtime,
    /// The owner of the tables, a superuser, or one who may bypass row level security.
    Privileged {
        /// The role's name.
        role: String,
    },
    /// Somebody who may not act for the program.
    Stranger {
        /// The role's name.
        role: String,
    },
}

/// Before the schema is there, whoever may make it counts as its owner.
const WHO: &str = "select session_user::text as role, \
    coalesce((select bool_or(r.rolsuper or r.rolbypassrls) from pg_roles r \
              where pg_has_role(session_user, r.oid, 'member')), false) \
        or exists (select 1 from pg_class c where c.relnamespace = to_regnamespace('mc') \
                   and c.relkind = 'r' and pg_has_role(session_user, c.relowner, 'member')) \
        or (to_regnamespace('mc') is null \
            and has_database_privilege(session_user, current_database(), 'create')) as privileged, \
    coalesce((select pg_has_role(session_user, r.oid, 'member') from pg_roles r \
              where r.rolname = 'mc_login'), false) as may_act";

#[derive(FromQueryResult)]
struct Row {
    role: String,
    privileged: bool,
    may_act: bool,
}

/// Asks the database.
pub(crate) async fn check(db: &impl ConnectionTrait) -> Result<Login, StoreError> {
    let statement = Statement::from_string(db.get_database_backend(), WHO);
    let row = Row::find_by_statement(statement).one(db).await;
    let Some(row) = row.map_err(store_error)? else {
        return Err(StoreError::Unavailable(fault("the database tells no role")));
    };
    let Row { role, .. } = row;
    Ok(match (row.privileged, row.may_act) {
        (true, _) => Login::Privileged { role },
        (false, true) => Login::Runtime,
        (false, false) => Login::Stranger { role },
    })
}
