//! `curves.svg`: how loss and error fell.

use std::io;
use std::path::{Path, PathBuf};

use train::{Event, Log, Started};

use crate::chart::{self, Panel, Series};
use crate::files::{problem, replace};
use crate::history::{self, EvaluatedRecord, Record, StepRecord};

/// Training curves have between half of this many points and all.
const POINTS: usize = 400;

/// `curves.svg`: loss and errors of training and validation over epochs; redrawn at each evaluation and at the end. A
/// resumed run continues the curves from `events.jsonl`.
pub struct Curves {
    path: PathBuf,
    title: String,
    steps_per_epoch: f64,
    train: Binned,
    evaluations: Vec<EvaluatedRecord>,
    problem: Option<String>,
}

impl Curves {
    /// The curves of the run directory `run`.
    pub fn new(run: &Path) -> Curves {
        Curves {
            path: run.join("curves.svg"),
            title: String::new(),
            steps_per_epoch: 1.0,
            train: Binned::default(),
            evaluations: Vec::new(),
            problem: None,
        }
    }

    pub(crate) fn problem(&self) -> &Option<String> {
        &self.problem
    }

    fn start(&mut self, started: &Started) -> io::Result<()> {
        self.title = format!("{} on {}", started.net, started.dataset);
        self.steps_per_epoch = f64::from(started.steps_per_epoch.max(1));
        if let Some(step) = started.resumed_from {
            let run = self.path.parent().unwrap_or(Path::new(""));
            history::read(run, step)?.iter().filter_map(|kept| kept.record).for_each(|record| self.take(record));
        }
        Ok(())
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Step(step) => self.train.add(&step),
            Record::Evaluated(evaluated) => self.evaluations.push(evaluated),
        }
    }

    /// The chart as it stands.
    fn svg(&self) -> String {
        let train = |value: fn(&Bin) -> f64| {
            self.train.bins.iter().map(|bin| (bin.step / bin.steps / self.steps_per_epoch, value(bin) / bin.images)).collect()
        };
        let validation = |value: fn(&EvaluatedRecord) -> f64| self.evaluations.iter().map(|e| (e.epochs, value(e))).collect();
        let line = |name, colour, dots, points| Series { name, colour, dots, points };
        let panels = [
            Panel {
                title: "mean negative log-likelihood",
                x: "epochs",
                unit: "",
                series: vec![
                    line("training", 0, false, train(|bin| bin.nll)),
                    line("validation", 1, true, validation(|e| e.nll)),
                ],
            },
            Panel {
                title: "error",
                x: "epochs",
                unit: " %",
                series: vec![
                    line("training top-1", 0, false, train(|bin| 100.0 * bin.errors)),
                    line("validation top-5", 2, true, validation(|e| 100.0 * e.top5_error)),
                    line("validation top-1", 1, true, validation(|e| 100.0 * e.top1_error)),
                ],
            },
        ];
        chart::svg(&self.title, &panels)
    }
}

impl Log for Curves {
    fn record(&mut self, event: &Event) {
        let mut result = Ok(());
        if let Event::Started(started) = event {
            result = self.start(started);
        }
        if let Some(record) = Record::of(event) {
            self.take(record);
        }
        if matches!(event, Event::Evaluated(_) | Event::Finished { .. } | Event::Interrupted { .. }) && self.problem.is_none() {
            result = result.and_then(|()| replace(&self.path, self.svg().as_bytes()));
        }
        if let Err(error) = result {
            self.problem = problem(&self.path, &error);
        }
    }
}

/// Sums over equally many successive steps.
#[derive(Clone, Copy, Default)]
struct Bin {
    steps: f64,
    /// Sum of (step + 1): the steps taken when each is over.
    step: f64,
    images: f64,
    nll: f64,
    errors: f64,
}

impl Bin {
    fn and(self, other: Bin) -> Bin {
        Bin {
            steps: self.steps + other.steps,
            step: self.step + other.step,
            images: self.images + other.images,
            nll: self.nll + other.nll,
            errors: self.errors + other.errors,
        }
    }
}

/// Any number of steps in at most [`POINTS`] bins, so that a run of a million steps draws as quickly as one of a hundred.
#[derive(Default)]
struct Binned {
    /// The last one may hold fewer than `width` steps.
    bins: Vec<Bin>,
    width: f64,
}

impl Binned {
    fn add(&mut self, step: &StepRecord) {
        let images = f64::from(step.images);
        let one = Bin {
            steps: 1.0,
            step: f64::from(step.step) + 1.0,
            images,
            nll: step.loss * images,
            errors: images - f64::from(step.top1),
        };
        self.width = self.width.max(1.0);
        match self.bins.last_mut() {
            Some(last) if last.steps < self.width => *last = last.and(one),
            _ => self.bins.push(one),
        }
        if self.bins.len() > POINTS {
            self.bins = self.bins.chunks(2).map(|pair| pair.iter().fold(Bin::default(), |sum, &bin| sum.and(bin))).collect();
            self.width *= 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_few_points_and_every_step() {
        let mut binned = Binned::default();
        for step in 0..100_000 {
            binned.add(&StepRecord { step, images: 2, loss: 0.5, top1: 1, rate: 0.1, seconds: 0.0 });
            assert!(binned.bins.len() <= POINTS);
        }
        assert!(binned.bins.len() > POINTS / 2);
        let sum = binned.bins.iter().fold(Bin::default(), |sum, &bin| sum.and(bin));
        assert_eq!([sum.steps, sum.images, sum.nll, sum.errors], [1e5, 2e5, 1e5, 1e5]);
        assert!(binned.bins.windows(2).all(|pair| pair[0].step / pair[0].steps < pair[1].step / pair[1].steps));
    }
}
