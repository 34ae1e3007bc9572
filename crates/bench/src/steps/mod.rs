//! Time per turn, by step, with a model that answers at once.

mod report;
mod seed;
mod stage;
mod timed;
mod watch;

use std::sync::Arc;
use std::time::Instant;

use adapter_local::{LocalEmbedder, Models};
use anyhow::Result;
use domain::memory::{Embedder, EmbeddingPurpose};

use crate::stats::{Samples, figure};
use crate::table::Table;
use crate::{machine, texts};
use report::Measured;
use seed::Vectors;
use stage::Stage;
use watch::Step;

/// The aim for recall and storage together, in milliseconds.
const AIM: f64 = 15.0;

struct Plan {
    sizes: &'static [usize],
    real_vectors: usize,
    rounds: usize,
}

const FULL: Plan = Plan {
    sizes: &[10, 1_000, 10_000],
    real_vectors: 400,
    rounds: 100,
};
const QUICK: Plan = Plan {
    sizes: &[10, 1_000],
    real_vectors: 20,
    rounds: 10,
};

/// Measures and prints.
pub(crate) async fn run(models: &Models, quick: bool) -> Result<()> {
    let plan = if quick { QUICK } else { FULL };
    let embedder: Arc<dyn Embedder> = Arc::new(LocalEmbedder::open(models)?);
    println!("## Steps of a turn\n");
    let mut stages = prepare(&plan, &embedder).await?;
    for (stage, measured) in &mut stages {
        warm_up(stage, measured).await?;
    }
    for _ in 0..plan.rounds {
        for (stage, measured) in &mut stages {
            round(stage, measured).await?;
        }
    }
    for _ in 0..plan.rounds / 5 {
        for (stage, measured) in &mut stages {
            let (indexing, search) = stage.relearn().await?;
            measured.indexing.push(indexing);
            measured.search_after.push(search);
        }
    }
    let measured: Vec<_> = stages
        .into_iter()
        .map(|(stage, measured)| (stage.size, measured))
        .collect();
    println!("{}", report::table(&measured));
    println!(
        "{} rounds over all sizes in turn; SQLite on disk, {} in this process, a model that answers at once;\n\
         load average {} at the end. Vectors: the first {} memories of a profile are embedded, the others are\n\
         these with noise, scaled to length 1. Storing the question runs beside embedding and search, so that\n\
         a turn takes less than the sum of its steps.\n",
        plan.rounds,
        embedder.space().model,
        machine::load(),
        plan.real_vectors,
    );
    aim(&measured);
    println!("{}", lengths(&*embedder, plan.rounds / 2).await?);
    Ok(())
}

/// What a question costs by its length: embedding is most of a turn.
async fn lengths(embedder: &dyn Embedder, rounds: usize) -> Result<Table> {
    let mut measured = [5, 10, 20, 40].map(|words| (words, Samples::default()));
    for round in 0..rounds {
        for (words, samples) in &mut measured {
            let question = texts::of_length(round, *words);
            let start = Instant::now();
            embedder
                .embed(vec![question], EmbeddingPurpose::Query)
                .await?;
            samples.push_time(start.elapsed());
        }
    }
    let mut table = Table::new(["embed a new question of", "ms: median (p90)"]);
    for (words, samples) in &measured {
        table.row([format!("{words} words"), report::cell(samples)]);
    }
    Ok(table)
}

async fn prepare(plan: &Plan, embedder: &Arc<dyn Embedder>) -> Result<Vec<(Stage, Measured)>> {
    let start = Instant::now();
    let vectors = Vectors::embed(&**embedder, plan.real_vectors).await?;
    eprintln!(
        "embedded {} memories in {:.1?}",
        plan.real_vectors,
        start.elapsed()
    );
    let mut stages = Vec::new();
    for &size in plan.sizes {
        let start = Instant::now();
        stages.push((
            Stage::new(size, embedder, &vectors).await?,
            Measured::default(),
        ));
        eprintln!(
            "stored and indexed {size} memories in {:.1?}",
            start.elapsed()
        );
    }
    Ok(stages)
}

/// The first turns fill caches; of them only the first search counts.
async fn warm_up(stage: &Stage, measured: &mut Measured) -> Result<()> {
    stage.new_question().await?;
    for (step, time) in stage.watch.take() {
        if step == Step::Search {
            measured.first_search.push_time(time);
        }
    }
    for _ in 0..3 {
        stage.new_question().await?;
    }
    stage.watch.take();
    Ok(())
}

async fn round(stage: &Stage, measured: &mut Measured) -> Result<()> {
    let (question, turn) = stage.new_question().await?;
    measured.new.add(&turn, stage.watch.take());
    let turn = stage.turn(&question).await?;
    measured.known.add(&turn, stage.watch.take());
    Ok(())
}

fn aim(measured: &[(usize, Measured)]) {
    let worst = measured
        .iter()
        .map(|(_, m)| m.new.median())
        .fold(0.0, f64::max);
    let verdict = if worst < AIM { "met" } else { "missed" };
    println!(
        "Aim: recall and storage add under {AIM} ms at the median. Most at any size, with a new question: {} ms: {verdict}.\n",
        figure(worst)
    );
}
