//! Turns per second, latency, CPU and memory of the real server, beside a bare pass-through.

mod caller;
mod child;
mod database;
mod lap;
mod lists;
mod upstream;

pub(crate) use child::{relay, serve};
pub(crate) use lists::run as lists;

use adapter_local::Models;
use anyhow::Result;
use domain::privacy::PrivacyMode;

use crate::machine;
use crate::stats::{Samples, figure};
use crate::table::Table;
use caller::{Caller, Places, Target};
use child::Child;
use database::Database;
use lap::Lap;
use upstream::Upstream;

struct Plan {
    clients: &'static [usize],
    rounds: usize,
    /// Turns per lap, all clients together; the yardsticks, which cost little, make more calls.
    turns: usize,
    calls: usize,
}

const FULL: Plan = Plan {
    clients: &[1, 8, 32],
    rounds: 7,
    turns: 64,
    calls: 512,
};
const QUICK: Plan = Plan {
    clients: &[1, 4],
    rounds: 2,
    turns: 8,
    calls: 32,
};

/// Measures and prints.
pub(crate) async fn run(models: &Models, quick: bool) -> Result<()> {
    let plan = if quick { QUICK } else { FULL };
    let upstream = Upstream::start().await?;
    let rig = Rig::build(models, &upstream).await?;

    println!("## The server\n");
    let at_start = rig.memory();
    let mut callers = Vec::new();
    for side in &rig.sides {
        let places = Places {
            upstream: upstream.base(),
            relay: rig.relay.base.clone(),
            server: side.server.base.clone(),
        };
        callers.push(sign_up(&plan, &places).await?);
        side.server.settle().await;
    }
    let mut tables = Vec::new();
    for &clients in plan.clients {
        rig.rounds(&plan, &callers, clients, 1).await?;
        tables.push((
            clients,
            rig.rounds(&plan, &callers, clients, plan.rounds).await?,
        ));
    }
    for (clients, laps) in &tables {
        println!("{}", table(*clients, &rig.rows(), laps));
    }
    println!(
        "Medians of {} rounds, {} turns each, over all rows in turn; \"x\" is the ratio to the pass-through, within a\n\
         round. Every turn asks something new, so that it is embedded. CPU is that of the process under test and\n\
         includes what `normal` learns in the background. Load average {} at the end.\n",
        plan.rounds,
        plan.turns,
        machine::load(),
    );
    println!("{}", memory(at_start, rig.memory()));
    Ok(())
}

async fn sign_up(plan: &Plan, places: &Places) -> Result<Vec<Caller>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let count = plan.clients.iter().copied().max().unwrap_or(1);
    let mut callers = Vec::with_capacity(count);
    for number in 0..count {
        callers.push(Caller::sign_up(&http, places, number).await?);
    }
    eprintln!("signed up {count} users");
    Ok(callers)
}

/// A server, and what it keeps its rows in.
struct Side {
    server: Child,
    database: Database,
}

/// The processes under test: the pass-through, and the server on each database that is there, SQLite
/// first.
struct Rig {
    relay: Child,
    sides: Vec<Side>,
}

/// The laps of one round, in the order of [`Rig::rows`].
type Round = Vec<Lap>;

impl Rig {
    async fn build(models: &Models, upstream: &Upstream) -> Result<Self> {
        let relay = Child::relay(&upstream.base()).await?;
        let mut sides = Vec::new();
        for database in Database::all().await? {
            let server = Child::server(&database, models.folder(), &upstream.base()).await?;
            sides.push(Side { server, database });
        }
        Ok(Self { relay, sides })
    }

    /// What is called, and on which side: the yardsticks and every mode on the first, and what a
    /// database has most to do with on the others.
    fn rows(&self) -> Vec<(Target, usize, String)> {
        let first = Target::ALL
            .into_iter()
            .map(|target| (target, 0, target.name().to_owned()));
        let others = self.sides.iter().enumerate().skip(1).map(|(side, place)| {
            let target = Target::Turn(PrivacyMode::Normal);
            let name = format!("{}, {}", target.name(), place.database.name());
            (target, side, name)
        });
        first.chain(others).collect()
    }

    async fn rounds(
        &self,
        plan: &Plan,
        callers: &[Vec<Caller>],
        clients: usize,
        rounds: usize,
    ) -> Result<Vec<Round>> {
        let mut done = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let mut laps = Vec::new();
            for (target, side, _) in self.rows() {
                let (process, calls) = match target {
                    Target::Upstream => (None, plan.calls),
                    Target::Relay => (Some(&self.relay), plan.calls),
                    Target::Turn(_) => (Some(&self.sides[side].server), plan.turns),
                };
                let callers = &callers[side][..clients];
                laps.push(Lap::run(callers, calls.div_ceil(clients), target, process).await?);
            }
            done.push(laps);
        }
        Ok(done)
    }

    /// Memory of pass-through and server.
    fn memory(&self) -> [(f64, f64); 2] {
        [&self.relay, &self.sides[0].server].map(Child::resident_megabytes)
    }
}

fn table(clients: usize, rows: &[(Target, usize, String)], rounds: &[Round]) -> Table {
    let plural = if clients == 1 { "client" } else { "clients" };
    let title = format!("{clients} {plural}");
    let mut table = Table::new([
        &title, "turns/s", "p50 ms", "p95 ms", "CPU ms", "x p50", "x CPU",
    ]);
    for (row, (_, _, name)) in rows.iter().enumerate() {
        let median = |of: fn(&Lap) -> f64| {
            rounds
                .iter()
                .map(|laps| of(&laps[row]))
                .collect::<Samples>()
                .median()
        };
        let ratio = |of: fn(&Lap) -> f64| {
            rounds
                .iter()
                .map(|laps| of(&laps[row]) / of(&laps[1]))
                .collect::<Samples>()
                .median()
        };
        table.row([
            name.clone(),
            figure(median(|lap| lap.rate)),
            figure(median(|lap| lap.p50)),
            figure(median(|lap| lap.p95)),
            figure(median(|lap| lap.cpu)),
            figure(ratio(|lap| lap.p50)),
            figure(ratio(|lap| lap.cpu)),
        ]);
    }
    table
}

fn memory(at_start: [(f64, f64); 2], at_end: [(f64, f64); 2]) -> Table {
    let mut table = Table::new([
        "memory, MB resident",
        "after the start",
        "after all turns",
        "at most",
    ]);
    for (row, name) in ["bare pass-through", "server, with the embedding model"]
        .into_iter()
        .enumerate()
    {
        let cells = [at_start[row].0, at_end[row].0, at_end[row].1].map(figure);
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    table
}
