//! Notices a loss that stays where guessing leaves it, and looks for the reason.

use std::fmt::Write;

use net::{Batch, Executor, Kind, Op, Tensor};
use serde::{Deserialize, Serialize};

use crate::schedule::Span;

/// Mean loss over a window of steps. Part of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Steps in the window so far.
    pub steps: u32,
    /// Images in the window so far.
    pub images: u64,
    /// Sum of the labels' negative log-likelihoods.
    pub nll_sum: f64,
    /// Whether it has been said.
    pub said: bool,
}

impl Watch {
    /// Adds a step. The window's mean loss where the window is full, lies within 1 % of ln(classes), and that has not been
    /// said before. The window is an epoch, but at least 50 and at most 300 steps.
    pub(crate) fn observe(&mut self, images: u64, nll_sum: f64, classes: usize, span: Span) -> Option<f64> {
        self.steps += 1;
        self.images += images;
        self.nll_sum += nll_sum;
        if self.steps < span.steps_per_epoch.clamp(50, 300) {
            return None;
        }
        let mean = self.nll_sum / self.images.max(1) as f64;
        let guessing = (classes as f64).ln();
        let stuck = (mean - guessing).abs() <= 0.01 * guessing;
        let first = stuck && !self.said;
        *self = Watch { said: self.said || stuck, ..Watch::default() };
        first.then_some(mean)
    }
}

/// What may keep the loss at ln(classes): dead ReLUs, vanishing or exploding gradients, an unscaled input. Reads the last
/// pass of `exec`, which was on `batch`.
pub(crate) fn diagnosis(exec: &mut dyn Executor, batch: &Batch, mean: f64) -> String {
    let classes = exec.net().classes();
    let mut text = format!(
        "the loss stays at {mean:.4}, which is ln({classes}): the net guesses. What it may come from:\n{}",
        input_scale(&batch.pixels.to_f32(exec.net().input(), batch.n))
    );
    let relus: Vec<String> =
        exec.net().layers().iter().filter(|layer| layer.op == Op::Relu).map(|layer| layer.name.clone()).collect();
    for name in relus {
        // An engine need not have kept the activation.
        if let Ok(activation) = exec.activation(&name) {
            let (dead, maps) = dead_maps(&activation);
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{name}: {dead} of {maps} maps are 0 everywhere on the last batch");
        }
    }
    if let (Ok(gradients), Ok(weights)) = (exec.save(Kind::Gradients), exec.save(Kind::Weights)) {
        for ((name, gradient), (_, weight)) in gradients.iter().zip(weights.iter()) {
            let (g, w) = (norm(&gradient.data), norm(&weight.data));
            let _ = write!(text, "\n{name}: gradient norm {g:.2e}, value norm {w:.2e}");
        }
    }
    text
}

/// Mean and standard deviation of the pixels, and what is odd about them.
fn input_scale(pixels: &[f32]) -> String {
    let n = pixels.len().max(1) as f64;
    let mean = pixels.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let std = (pixels.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
    let odd = match () {
        () if !std.is_finite() => "; there are values that are not finite",
        () if std == 0.0 => "; every pixel is the same",
        () if mean.abs() > std => "; the mean has not been subtracted",
        () if std > 300.0 => "; that is more than pixels of 0 to 255 have",
        () if std < 0.1 => "; that is very little: is the input scaled twice?",
        () => "",
    };
    format!("input: mean {mean:.3}, standard deviation {std:.3}{odd}")
}

/// How many maps of an activation `[n, k, p, q]` are zero everywhere, and how many maps there are.
fn dead_maps(activation: &Tensor) -> (usize, usize) {
    let maps = activation.shape.get(1).copied().unwrap_or(0).max(1);
    let plane = activation.shape.iter().skip(2).product::<usize>().max(1);
    let mut alive = vec![false; maps];
    for (i, values) in activation.data.chunks(plane).enumerate() {
        alive[i % maps] |= values.iter().any(|&v| v != 0.0);
    }
    (alive.iter().filter(|alive| !**alive).count(), maps)
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { steps: 1000, steps_per_epoch: 60 };

    #[test]
    fn a_loss_at_ln_classes_is_said_once() {
        let guessing = 10f64.ln();
        let mut watch = Watch::default();
        let said: Vec<u32> = (0..400).filter(|_| watch.observe(8, 8.0 * guessing * 1.009, 10, SPAN).is_some()).collect();
        assert_eq!(said, [59]);
        let mut watch = Watch::default();
        assert!((0..400).all(|_| watch.observe(8, 8.0 * guessing * 0.98, 10, SPAN).is_none()));
        assert!(!watch.said);
    }

    #[test]
    fn dead_maps_are_those_without_a_value_anywhere() {
        let data = vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0, /* image 1 */ 0.0, 0.0, 0.0, 0.0, 0.0, 2.0];
        assert_eq!(dead_maps(&Tensor { shape: vec![2, 3, 1, 2], data }), (1, 3));
        assert_eq!(dead_maps(&Tensor { shape: vec![2, 2, 1, 1], data: vec![0.0, 1.0, 0.0, 0.0] }), (1, 2));
    }

    #[test]
    fn odd_inputs_are_named() {
        let scaled = |mean: f32, std: f32| input_scale(&[mean - std, mean + std]);
        assert_eq!(scaled(0.0, 60.0), "input: mean 0.000, standard deviation 60.000");
        assert!(scaled(120.0, 60.0).ends_with("the mean has not been subtracted"));
        assert!(scaled(0.0, 0.01).contains("scaled twice"));
        assert!(scaled(0.0, 0.0).ends_with("every pixel is the same"));
        assert!(scaled(0.0, f32::INFINITY).ends_with("not finite"));
    }
}
