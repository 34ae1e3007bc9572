//! What the steps took, as a table.

use std::collections::HashMap;
use std::time::Duration;

use super::stage::Turn;
use super::watch::Step;
use crate::stats::{Samples, figure};
use crate::table::Table;

/// What was measured at one number of memories.
#[derive(Default)]
pub(super) struct Measured {
    /// Turns with a question that has no vector yet.
    pub(super) new: Turns,
    /// Turns with a question asked before.
    pub(super) known: Turns,
    /// The first search after a start.
    pub(super) first_search: Samples,
    /// Writing an index entry.
    pub(super) indexing: Samples,
    /// The search after that.
    pub(super) search_after: Samples,
}

/// Turns of one kind.
#[derive(Default)]
pub(super) struct Turns {
    steps: HashMap<Step, Samples>,
    begun: Samples,
    whole: Samples,
    cpu: Samples,
}

impl Turns {
    /// Adds a turn with its steps.
    pub(super) fn add(&mut self, turn: &Turn, steps: Vec<(Step, Duration)>) {
        for (step, time) in steps {
            self.steps.entry(step).or_default().push_time(time);
        }
        self.begun.push_time(turn.begun);
        self.whole.push_time(turn.whole);
        self.cpu.push(turn.cpu);
    }

    fn step(&self, step: Step) -> Samples {
        self.steps.get(&step).cloned().unwrap_or_default()
    }

    /// The median of the whole turn.
    pub(super) fn median(&self) -> f64 {
        self.whole.median()
    }
}

type Row = (&'static str, fn(&Measured) -> Samples);

/// The rows, in the order of a turn.
const ROWS: &[Row] = &[
    ("embed a new question", |m| m.new.step(Step::Embed)),
    ("embed a question asked before", |m| {
        m.known.step(Step::Embed)
    }),
    ("search the index", |m| m.known.step(Step::Search)),
    ("read the hits again", |m| m.known.step(Step::Reread)),
    ("store the question", |m| m.known.step(Step::StoreQuestion)),
    ("store the answer and the job", |m| {
        m.known.step(Step::StoreAnswer)
    }),
    ("until the answer begins, new question", |m| {
        m.new.begun.clone()
    }),
    ("whole turn, new question", |m| m.new.whole.clone()),
    ("... its CPU time", |m| m.new.cpu.clone()),
    ("until the answer begins, asked before", |m| {
        m.known.begun.clone()
    }),
    ("whole turn, asked before", |m| m.known.whole.clone()),
    ("... its CPU time", |m| m.known.cpu.clone()),
    ("first search after a start", |m| m.first_search.clone()),
    ("index a memory (in the background)", |m| m.indexing.clone()),
    ("search after that", |m| m.search_after.clone()),
];

/// Medians with the 90th percentile, and how the median grows from the first size.
pub(super) fn table(measured: &[(usize, Measured)]) -> Table {
    let sizes = measured.iter().map(|(size, _)| format!("{size} memories"));
    let growth = measured
        .iter()
        .skip(1)
        .map(|(size, _)| format!("growth to {size}"));
    let mut table = Table::new(
        std::iter::once("step, ms: median (p90)".to_owned())
            .chain(sizes)
            .chain(growth),
    );
    for (name, samples) in ROWS {
        let samples: Vec<Samples> = measured.iter().map(|(_, m)| samples(m)).collect();
        let least = samples.first().map_or(f64::NAN, Samples::median);
        let cells = samples.iter().map(cell);
        let growth = samples
            .iter()
            .skip(1)
            .map(|s| format!("x {}", figure(s.median() / least)));
        table.row(
            std::iter::once((*name).to_owned())
                .chain(cells)
                .chain(growth),
        );
    }
    table
}

/// The median, with the 90th percentile.
pub(super) fn cell(samples: &Samples) -> String {
    format!(
        "{} ({})",
        figure(samples.median()),
        figure(samples.quantile(0.9))
    )
}
