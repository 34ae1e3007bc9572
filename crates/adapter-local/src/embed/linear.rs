//! Matrix products for few rows: the encoder spends nearly all of its time here.
//!
//! A question is a dozen rows against 42 MB of weights. A general product first rearranges the weights
//! for its inner loop, at each call, which then takes longer than the product. Here they are rearranged
//! once, when they are read. The loops are plain code that the compiler turns into vector instructions.

use std::ops::Range;

/// Columns of a panel: with [`TILE`] rows of sums they just fit into the sixteen registers of AVX2.
const LANES: usize = 24;
/// Rows of a tile: each weight that is read is used for so many.
const TILE: usize = 4;

/// Rows of numbers that lie in one slice at equal distances, the first at its start.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// Rows to write to, as [`Rows`].
pub(super) struct RowsMut<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
}

/// A matrix, cut into panels of [`LANES`] outputs, in each of which the weights lie in the order of use.
/// The last panel is filled up with zeros.
pub(super) struct Panels {
    inputs: usize,
    outputs: usize,
    values: Vec<[f32; LANES]>,
}

impl Panels {
    /// Arranges the matrix whose weight from an input to an output is `weight(output, input)`.
    pub(super) fn new(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(outputs.div_ceil(LANES) * inputs);
        for first in (0..outputs).step_by(LANES) {
            let width = LANES.min(outputs - first);
            for input in 0..inputs {
                let mut lanes = [0.0; LANES];
                for (lane, value) in lanes.iter_mut().take(width).enumerate() {
                    *value = weight(first + lane, input);
                }
                values.push(lanes);
            }
        }
        Self {
            inputs,
            outputs,
            values,
        }
    }

    /// Writes the product of the matrix with each of the first `count` rows.
    pub(super) fn multiply(&self, count: usize, from: Rows<'_>, to: &mut RowsMut<'_>) {
        if self.inputs == 0 {
            return;
        }
        for (panel, first) in self
            .values
            .chunks_exact(self.inputs)
            .zip((0..self.outputs).step_by(LANES))
        {
            let columns = first..self.outputs.min(first + LANES);
            let mut row = 0;
            while row < count {
                // Tiles of like height: a low one at the end would wait for its own sums.
                let left = count - row;
                let height = left.div_ceil(left.div_ceil(TILE));
                match height {
                    4 => tile::<4>(panel, from, row, to, columns.clone()),
                    3 => tile::<3>(panel, from, row, to, columns.clone()),
                    2 => tile::<2>(panel, from, row, to, columns.clone()),
                    _ => tile::<1>(panel, from, row, to, columns.clone()),
                }
                row += height;
            }
        }
    }
}

/// Writes the products of one panel with `HEIGHT` rows.
fn tile<const HEIGHT: usize>(
    panel: &[[f32; LANES]],
    from: Rows<'_>,
    row: usize,
    to: &mut RowsMut<'_>,
    columns: Range<usize>,
) {
    let rows = std::array::from_fn(|n| &from.values[(row + n) * from.stride..]);
    let sums = products::<HEIGHT>(panel, rows);
    for (n, sums) in sums.iter().enumerate() {
        let row = &mut to.values[(row + n) * to.stride..][columns.clone()];
        row.copy_from_slice(&sums[..row.len()]);
    }
}

/// The sums of `HEIGHT` rows, each longer than the panel or as long.
///
/// Never inlined: only by itself does the compiler keep all sums in registers, which makes the whole
/// encoder ten times faster.
#[inline(never)]
fn products<const HEIGHT: usize>(
    panel: &[[f32; LANES]],
    rows: [&[f32]; HEIGHT],
) -> [[f32; LANES]; HEIGHT] {
    // The compiler sees here, once, that they are long enough.
    let rows = rows.map(|row| &row[..panel.len()]);
    let mut sums = [[0.0; LANES]; HEIGHT];
    for (input, weights) in panel.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let value = row[input];
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = multiply_add(value, *weight, *sum);
            }
        }
    }
    sums
}

/// `a * b + c`, in one instruction where there is one; elsewhere `mul_add` would be a slow call.
#[inline]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// A layer of weights and biases.
pub(super) struct Linear {
    weights: Panels,
    biases: Vec<f32>,
}

impl Linear {
    /// `weights` has one row per output, one of which each bias is for.
    pub(super) fn new(weights: &[f32], biases: Vec<f32>) -> Self {
        let inputs = weights.len() / biases.len().max(1);
        Self {
            weights: Panels::new(biases.len(), inputs, |output, input| {
                weights[output * inputs + input]
            }),
            biases,
        }
    }

    /// Overwrites each row of `to` with what the layer makes of the same row of `from`.
    pub(super) fn apply(&self, from: &[f32], to: &mut [f32]) {
        let (inputs, outputs) = (self.weights.inputs, self.weights.outputs);
        let count = from.len() / inputs.max(1);
        let from = Rows {
            values: from,
            stride: inputs,
        };
        let mut rows = RowsMut {
            values: to,
            stride: outputs,
        };
        self.weights.multiply(count, from, &mut rows);
        for row in to.chunks_exact_mut(outputs.max(1)) {
            for (value, bias) in row.iter_mut().zip(&self.biases) {
                *value += bias;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers from -1 to 1, the same for the same seed, in no order that could hide a mistake.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |n: usize| ((n * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
        (0..count).map(number).collect()
    }

    fn naive(weights: &[f32], biases: &[f32], row: &[f32]) -> Vec<f32> {
        let output = |(weights, bias): (&[f32], &f32)| {
            let products = weights.iter().zip(row).map(|(w, x)| w * x);
            products.sum::<f32>() + bias
        };
        weights.chunks(row.len()).zip(biases).map(output).collect()
    }

    proptest! {
        #[test]
        fn a_layer_equals_the_definition(rows in 0..14_usize, inputs in 1..70_usize, outputs in 1..80_usize) {
            let (weights, biases) = (numbers(inputs * outputs, 1), numbers(outputs, 2));
            let from = numbers(rows * inputs, 3);
            // What was there before is of no account.
            let mut found = vec![f32::NAN; rows * outputs];
            Linear::new(&weights, biases.clone()).apply(&from, &mut found);
            let wanted = from.chunks(inputs).flat_map(|row| naive(&weights, &biases, row));
            for (found, wanted) in found.iter().zip(wanted) {
                prop_assert!((found - wanted).abs() < 1e-4, "{found} is not {wanted}");
            }
        }

        #[test]
        fn rows_may_lie_apart(rows in 1..9_usize, inputs in 1..40_usize, outputs in 1..60_usize, gap in 0..5_usize) {
            let weights = numbers(inputs * outputs, 1);
            let panels = Panels::new(outputs, inputs, |output, input| weights[output * inputs + input]);
            let from = numbers(rows * (inputs + gap), 2);
            let mut found = vec![f32::NAN; rows * (outputs + gap)];
            let mut to = RowsMut { values: &mut found, stride: outputs + gap };
            panels.multiply(rows, Rows { values: &from, stride: inputs + gap }, &mut to);
            for (from, found) in from.chunks(inputs + gap).zip(found.chunks(outputs + gap)) {
                let wanted = naive(&weights, &vec![0.0; outputs], &from[..inputs]);
                for (found, wanted) in found.iter().zip(wanted) {
                    prop_assert!((found - wanted).abs() < 1e-4, "{found} is not {wanted}");
                }
                prop_assert!(found[outputs..].iter().all(|gap| gap.is_nan()), "a gap was written to");
            }
        }
    }
}
