//! Comparing an engine's values with the oracle's, one by one.

use std::fmt;

use crate::bound::Bounded;

/// What was compared, for the reader of a failure.
#[derive(Debug, Clone, PartialEq)]
pub struct What {
    /// The op's kind, or what the value belongs to.
    pub op: String,
    /// The tensor: `activation of conv1`, `gradient of conv1.weight`.
    pub tensor: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The row-major place of the first value compared: 0, unless the tensor is compared in parts.
    pub first: usize,
}

/// The value that is furthest out of its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// What was compared.
    pub what: What,
    /// How many values are out of their bounds, of how many.
    pub outside: (usize, usize),
    /// Row-major place of the worst value.
    pub index: usize,
    /// The engine's value.
    pub engine: f32,
    /// The oracle's.
    pub oracle: f64,
    /// Their distance in units in the last place of f32.
    pub ulps: u64,
    /// The largest distance that was allowed.
    pub bound: f64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Mismatch { what, outside: (bad, all), index, engine, oracle, ulps, bound } = self;
        write!(
            f,
            "{}: {} {:?}: {bad} of {all} values out of bounds; worst at {index} ({}): engine {engine:e}, oracle {oracle:e}, \
             {ulps} ulp apart; error {:.3e}, bound {bound:.3e}",
            what.op,
            what.tensor,
            what.shape,
            place(&what.shape, *index),
            (f64::from(*engine) - oracle).abs(),
        )
    }
}

/// The index along each axis.
fn place(shape: &[usize], mut index: usize) -> String {
    let mut places = vec![0; shape.len()];
    for (place, &size) in places.iter_mut().zip(shape).rev() {
        *place = index % size.max(1);
        index /= size.max(1);
    }
    format!("{places:?}")
}

/// Steps from one f32 to the other through all that lie between, the oracle's rounded first.
pub fn ulps(engine: f32, oracle: f64) -> u64 {
    let ordered = |x: f32| {
        let bits = i64::from(x.to_bits() as i32);
        if bits < 0 { i64::from(i32::MIN) - bits } else { bits }
    };
    ordered(engine).abs_diff(ordered(oracle as f32))
}

/// Compares elementwise: `|engine − oracle| ≤ factor · bound`, so that anything not finite fails. Returns the largest
/// share of its bound that any value used.
///
/// # Errors
/// The worst value out of its bound; or its first index where the number of values differs.
pub fn compare(what: impl FnOnce() -> What, engine: &[f32], oracle: &Bounded, factor: f64) -> Result<f64, Box<Mismatch>> {
    let (mut worst, mut worst_index, mut outside) = (0.0_f64, 0, 0);
    for (index, ((&engine, &value), &bound)) in engine.iter().zip(&oracle.value).zip(&oracle.bound).enumerate() {
        let error = (f64::from(engine) - value).abs();
        let share = if error == 0.0 { 0.0 } else { error / (factor * bound) };
        // What is not a number is out of every bound.
        let share = if share.is_nan() { f64::INFINITY } else { share };
        outside += usize::from(share > 1.0);
        if share > worst {
            (worst, worst_index) = (share, index);
        }
    }
    if engine.len() != oracle.value.len() {
        (outside, worst_index) = (engine.len().abs_diff(oracle.value.len()), engine.len().min(oracle.value.len()));
    }
    if outside == 0 {
        return Ok(worst);
    }
    let value = engine.get(worst_index).copied().unwrap_or(f32::NAN);
    let expected = oracle.value.get(worst_index).copied().unwrap_or(f64::NAN);
    let what = what();
    Err(Box::new(Mismatch {
        index: what.first + worst_index,
        what,
        outside: (outside, oracle.value.len()),
        engine: value,
        oracle: expected,
        ulps: ulps(value, expected),
        bound: factor * oracle.bound.get(worst_index).copied().unwrap_or(0.0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what() -> What {
        What { op: "conv".into(), tensor: "activation of conv1".into(), shape: vec![1, 2, 2], first: 0 }
    }

    fn oracle() -> Bounded {
        Bounded { value: vec![1.0, -2.0, 0.0, 4.0], bound: vec![1e-6, 1e-6, 0.0, 1e-6] }
    }

    #[test]
    fn within_bounds_passes_and_reports_the_share() {
        let share = compare(what, &[1.0, -2.0, -0.0, 4.0], &oracle(), 1.0);
        assert_eq!(share, Ok(0.0));
        let share = compare(what, &[1.0, -2.000_000_5, 0.0, 4.0], &oracle(), 1.0).expect("half the bound");
        assert!((0.4..0.6).contains(&share), "{share}");
    }

    #[test]
    fn the_worst_value_is_named() {
        let text = compare(what, &[1.00001, -2.0, 0.0, 4.1], &oracle(), 1.0).expect_err("out of bounds").to_string();
        assert!(text.contains("2 of 4") && text.contains("worst at 3 ([0, 1, 1])") && text.contains("ulp"), "{text}");
    }

    #[test]
    fn nan_infinity_and_missing_values_fail() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mismatch = compare(what, &[1.0, bad, 0.0, 4.0], &oracle(), 1.0).expect_err("not finite");
            assert_eq!(mismatch.index, 1);
        }
        assert!(compare(what, &[1.0, -2.0, 1e-45, 4.0], &oracle(), 1.0).is_err(), "a bound of 0 means equal");
        assert!(compare(what, &[1.0, -2.0, 0.0], &oracle(), 1.0).is_err());
    }

    #[test]
    fn ulps_cross_zero() {
        assert_eq!(ulps(1.0, 1.0), 0);
        assert_eq!(ulps(f32::from_bits(0x3f80_0003), 1.0), 3);
        assert_eq!(ulps(f32::from_bits(1), f64::from(-f32::from_bits(1))), 2);
    }
}
