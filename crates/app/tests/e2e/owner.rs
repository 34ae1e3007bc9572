//! The program logged in as the owner of the tables, who is no superuser: refused, or without its powers.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use testkit::servers::Postgres;

use crate::cli::{run, text};
use crate::harness::Server;
use crate::model_server::ModelServer;
use crate::wait::until;

/// Notes as whom a session is made and an entry of the index is written.
const WATCH: &str = "
create table public.seen (what text, who text);
grant insert on public.seen to public;
create function public.note() returns trigger language plpgsql as $$
    begin insert into public.seen values (tg_table_name, current_user); return new; end $$;
create trigger note before insert on mc.chat_sessions for each row execute function public.note();
create trigger note before insert on mc.memory_vectors for each row execute function public.note();
";

async fn seen(admin: &DatabaseConnection) -> Vec<String> {
    let sql = "select distinct what || ' by ' || who from public.seen order by 1";
    let rows = admin.query_all_raw(Statement::from_string(DbBackend::Postgres, sql));
    let rows = rows.await.expect("rows");
    let text = |row: &sea_orm::QueryResult| row.try_get_by_index(0).expect("text");
    rows.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_refused_or_acts_without_its_powers() {
    let Some(postgres) = Postgres::newer() else {
        return;
    };
    let admin = Database::connect(postgres.url()).await.expect("connected");
    let landlord =
        "create role landlord login createrole; grant create on database postgres to landlord";
    admin.execute_unprepared(landlord).await.expect("made");
    let url = postgres.url().replace("postgres@", "landlord@");
    let as_owner = [
        ("DATABASE_URL", url.as_str()),
        ("MEMORYCHAT_MODELS_PULL", "false"),
    ];
    let data = tempfile::tempdir().expect("folder");
    // Before there is a schema and after.
    for migrated in [false, true] {
        for command in ["serve", "worker", "reindex"] {
            let refused = run(data.path(), &[command], &as_owner);
            let line = text(&refused.stderr);
            assert!(!refused.status.success(), "{command}, {migrated}");
            assert_eq!(line.trim_end().lines().count(), 1, "{command}: {line}");
            for part in [
                "as landlord",
                "`memorychat migrate`",
                "mc_login",
                "DATABASE_ALLOW_OWNER=true",
            ] {
                assert!(line.contains(part), "{command}: {line}");
            }
        }
        let done = run(data.path(), &["migrate"], &as_owner);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
    admin.execute_unprepared(WATCH).await.expect("watched");

    let model = ModelServer::start().await;
    let server = Server::start_in_folder(&[
        ("DATABASE_URL", &url),
        ("DATABASE_ALLOW_OWNER", "true"),
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
    ])
    .await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    ada.chat(&session, "My lucky number is 7.").await;
    let profile = ada.default_profile().await;
    ada.wait_for_memories(&profile, 1).await;
    until("two are seen", async || seen(&admin).await.len() >= 2).await;
    let runtime = ["chat_sessions by mc_app", "memory_vectors by mc_worker"];
    assert_eq!(seen(&admin).await, runtime);
    let log = text(&server.log());
    assert_eq!(log.matches("DATABASE_ALLOW_OWNER").count(), 1, "{log}");
}
