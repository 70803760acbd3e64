//! How fast a run goes, and how long it will still take.

use std::time::Duration;

use train::Step;

/// Steps that are a few times this many steps ago hardly count. Counted in steps, so that a small net's fast fall is not
/// averaged away and a large net's few steps a minute are not noise.
const WINDOW_STEPS: f64 = 20.0;

/// Sums over steps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    images: f64,
    nll: f64,
    errors: f64,
    seconds: f64,
    wait_seconds: f64,
}

impl Sums {
    fn add(&mut self, step: &Step, keep: f64) {
        let images = f64::from(step.images);
        self.images = self.images * keep + images;
        self.nll = self.nll * keep + step.loss * images;
        self.errors = self.errors * keep + images - f64::from(step.top1);
        self.seconds = self.seconds * keep + step.seconds;
        self.wait_seconds = self.wait_seconds * keep + step.wait_seconds;
    }

    /// Mean loss of an image; not finite where there was none.
    pub(crate) fn loss(&self) -> f64 {
        self.nll / self.images
    }

    /// Share of images, in per cent, whose label was not the most probable class.
    pub(crate) fn error_percent(&self) -> f64 {
        100.0 * self.errors / self.images
    }

    /// Images per second of training.
    pub(crate) fn images_per_s(&self) -> f64 {
        self.images / self.seconds
    }

    /// Share of the time, in per cent, that was spent waiting for data.
    pub(crate) fn wait_percent(&self) -> f64 {
        if self.seconds > 0.0 { 100.0 * self.wait_seconds / self.seconds } else { 0.0 }
    }
}

/// Measures a run as it goes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// All steps of this process.
    pub(crate) total: Sums,
    /// The last steps.
    pub(crate) recent: Sums,
    steps: u32,
    evaluation_seconds: f64,
}

impl Meter {
    /// Counts a step.
    pub(crate) fn step(&mut self, step: &Step) {
        self.steps += 1;
        self.total.add(step, 1.0);
        self.recent.add(step, (-1.0 / WINDOW_STEPS).exp());
    }

    /// Counts an evaluation's time.
    pub(crate) fn evaluation(&mut self, seconds: f64) {
        self.evaluation_seconds += seconds;
    }

    /// The time that `steps` more steps will take with their evaluations; `None` where there has been no step.
    pub(crate) fn time_left(&self, steps: u32) -> Option<Duration> {
        let images = self.total.images / f64::from(self.steps) * f64::from(steps);
        let evaluation = self.evaluation_seconds / f64::from(self.steps) * f64::from(steps);
        Duration::try_from_secs_f64(images / self.recent.images_per_s() + evaluation).ok()
    }
}
