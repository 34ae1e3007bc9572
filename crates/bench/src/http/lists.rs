//! How long the lists take in an installation that has been in use for long.

use std::time::Instant;

use adapter_local::Models;
use anyhow::{Context, Result};
use sea_orm_migration::sea_orm::ConnectionTrait;
use testkit::bulk::{self, Bulk};

use super::caller::{Caller, Places};
use super::child::Child;
use super::database::Database;
use super::upstream::Upstream;
use crate::machine;
use crate::stats::{Samples, figure, millis};
use crate::table::Table;

/// 1,000 users, 100,000 sessions, 1,000,000 messages.
const FULL: Bulk = Bulk {
    users: 992,
    sessions: 100,
    messages: 10,
    memories: 100,
};
const QUICK: Bulk = Bulk {
    users: 12,
    sessions: 20,
    messages: 10,
    memories: 20,
};
/// Users who ask.
const CALLERS: usize = 8;

/// Seeds, measures and prints.
pub(crate) async fn run(models: &Models, quick: bool) -> Result<()> {
    let (bulk, calls) = if quick { (QUICK, 5) } else { (FULL, 60) };
    let upstream = Upstream::start().await?;
    println!("## Lists\n");
    let mut table = Table::new(["list, ms", "p50", "p95"]);
    for database in Database::all().await? {
        let server = Child::server(&database, models.folder(), &upstream.base()).await?;
        let callers = callers(&server, &upstream).await?;
        seed(&database, bulk).await?;
        for (route, times) in measure(&callers, calls).await? {
            let cells = [times.median(), times.quantile(0.95)].map(figure);
            let name = format!("{route}, {}", database.name());
            table.row(std::iter::once(name).chain(cells));
        }
    }
    println!("{table}");
    println!(
        "{} users with {} sessions of {} messages and {} memories each; {CALLERS} of them ask, one after the\n\
         other, {calls} times for each list. Load average {} at the end.\n",
        bulk.users as usize + CALLERS,
        bulk.sessions,
        bulk.messages,
        bulk.memories,
        machine::load(),
    );
    Ok(())
}

async fn callers(server: &Child, upstream: &Upstream) -> Result<Vec<Caller>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let places = Places {
        upstream: upstream.base(),
        relay: String::new(),
        server: server.base.clone(),
    };
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        callers.push(Caller::sign_up(&http, &places, number).await?);
    }
    server.settle().await;
    Ok(callers)
}

async fn seed(database: &Database, bulk: Bulk) -> Result<()> {
    let began = Instant::now();
    let owner = database.owner().await?;
    for sql in bulk::statements(bulk, database.is_postgres()) {
        owner.connection().execute_unprepared(&sql).await?;
    }
    owner.close().await?;
    eprintln!(
        "seeded, {}: {} s",
        database.name(),
        began.elapsed().as_secs()
    );
    Ok(())
}

/// The times of each list.
async fn measure(callers: &[Caller], calls: usize) -> Result<Vec<(&'static str, Samples)>> {
    let mut lists = ["sessions", "a session's messages", "profiles", "memories"]
        .map(|name| (name, Samples::default()));
    for _ in 0..calls {
        for caller in callers {
            let session = caller.a_listed_session().await?;
            let profile = caller.default_profile().await?;
            let paths = [
                "/sessions?limit=50".to_owned(),
                format!("/sessions/{session}/messages"),
                "/memory-profiles".to_owned(),
                format!("/memory-profiles/{profile}/memories?limit=50"),
            ];
            for ((_, times), path) in lists.iter_mut().zip(paths) {
                let start = Instant::now();
                let listed = caller.list(&path).await?;
                times.push(millis(start.elapsed()));
                listed.first().context("an empty list was measured")?;
            }
        }
    }
    Ok(lists.into())
}
