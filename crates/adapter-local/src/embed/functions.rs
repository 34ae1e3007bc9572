//! The functions between the encoder's products, written so that the compiler turns them into vector
//! instructions: no branches, no calls into the system's library of mathematics.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Sums kept side by side; one alone would make each addition wait for the last.
const LANES: usize = 16;

/// Scales rows to mean 0 and variance 1, then by learned factors and shifts.
pub(super) struct Norm {
    pub(super) factors: Vec<f32>,
    pub(super) shifts: Vec<f32>,
    /// Added to the variance.
    pub(super) epsilon: f32,
}

impl Norm {
    pub(super) fn apply(&self, row: &mut [f32]) {
        let count = row.len() as f32;
        let mean = sum(row, |value| value) / count;
        let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
        let scale = 1.0 / (variance + self.epsilon).sqrt();
        for ((value, factor), shift) in row.iter_mut().zip(&self.factors).zip(&self.shifts) {
            *value = (*value - mean) * scale * factor + shift;
        }
    }
}

/// Turns numbers, scaled, into weights that sum up to 1.
pub(super) fn softmax(values: &mut [f32], scale: f32) {
    let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in &mut *values {
        *value = exp((*value - greatest) * scale);
    }
    let total = sum(values, |value| value);
    for value in values {
        *value /= total;
    }
}

/// x times the normal distribution's share below x.
pub(super) fn gelu(values: &mut [f32]) {
    for value in values {
        *value *= 0.5 + 0.5 * erf(*value * FRAC_1_SQRT_2);
    }
}

fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += term(*value);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| term(*value)).sum::<f32>()
}

/// The error function, to 5e-7: Abramowitz and Stegun, 7.1.26.
#[inline]
fn erf(x: f32) -> f32 {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [
        1.061_405_4,
        -1.453_152_1,
        1.421_413_7,
        -0.284_496_74,
        0.254_829_6,
    ];
    let t = 1.0 / (1.0 + P * x.abs());
    let polynomial = A.iter().fold(0.0, |sum, a| (sum + a) * t);
    (1.0 - polynomial * exp(-x * x)).copysign(x)
}

/// e to the power of x for x up to 0, to 2e-7 of the value; below -87 it is as at -87, which is nothing.
#[inline]
fn exp(x: f32) -> f32 {
    /// Added and taken away again, it rounds to a whole number, which meanwhile stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// Those bits, and the bits of the exponent 0.
    const BIAS: u32 = ROUND.to_bits() - 127;
    /// A part of ln 2 short enough that its multiples are exact, and the rest.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.max(-87.0);
    let rounded = x * LOG2_E + ROUND;
    let power = f32::from_bits(rounded.to_bits().wrapping_sub(BIAS) << 23);
    let whole = rounded - ROUND;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    // The series of e^x; the rest is at most half of ln 2.
    let series = [
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    power * series.iter().fold(0.0, |sum, term| sum * rest + term)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from -span to span.
    fn numbers(span: f32) -> impl Iterator<Item = f32> {
        (-4000..=4000).map(move |n: i16| f32::from(n) / 4000.0 * span)
    }

    /// The error function by its series, in double precision.
    fn exact_erf(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn powers_of_e_are_exact_enough() {
        for x in numbers(86.0).filter(|x| *x <= 0.0) {
            let wanted = f64::from(x).exp();
            let error = (f64::from(exp(x)) - wanted).abs() / wanted;
            assert!(error < 2e-7, "at {x} the error is {error}");
        }
        assert!(exp(-1e30) < 1e-37);
        assert!((exp(0.0) - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn gelu_is_exact_enough() {
        for x in numbers(5.0) {
            let mut found = [x];
            gelu(&mut found);
            let x = f64::from(x);
            let wanted = x * 0.5 * (1.0 + exact_erf(x * std::f64::consts::FRAC_1_SQRT_2));
            let error = (f64::from(found[0]) - wanted).abs();
            assert!(error < 1e-6, "at {x} the error is {error}");
        }
        let mut far = [-40.0, 40.0];
        gelu(&mut far);
        assert!(
            far[0].abs() < 1e-6 && (far[1] - 40.0).abs() < 1e-6,
            "{far:?}"
        );
    }

    #[test]
    fn softmax_weighs_by_powers_and_sums_up_to_one() {
        for count in [1, 2, 15, 16, 17, 100] {
            let scores: Vec<f32> = numbers(30.0).step_by(81).take(count).collect();
            let mut found = scores.clone();
            softmax(&mut found, 0.5);
            let total: f64 = scores.iter().map(|s| (f64::from(*s) * 0.5).exp()).sum();
            for (score, found) in scores.iter().zip(found) {
                let wanted = (f64::from(*score) * 0.5).exp() / total;
                assert!(
                    (f64::from(found) - wanted).abs() < 1e-6,
                    "{found} is not {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_norm_gives_rows_the_learned_mean_and_spread() {
        let mut row: Vec<f32> = numbers(3.0).step_by(61).map(|x| x + 100.0).collect();
        let norm = Norm {
            factors: vec![2.0; row.len()],
            shifts: vec![5.0; row.len()],
            epsilon: 1e-12,
        };
        norm.apply(&mut row);
        let count = row.len() as f32;
        let mean = row.iter().sum::<f32>() / count;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
        assert!((mean - 5.0).abs() < 1e-4, "the mean is {mean}");
        assert!((variance - 4.0).abs() < 1e-3, "the variance is {variance}");
    }
}
