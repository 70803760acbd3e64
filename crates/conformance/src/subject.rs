//! The engine under test.

use net::{Executor, Mode, Net};

use crate::report::{Fault, Findings, Report, Skipped};

/// What an engine is asked to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The output of every layer, and the gradient by the input pixels.
    Everything,
    /// Whatever the engine keeps for its users.
    AsUsual,
}

/// Makes executors, as an engine's `prepare`.
pub type Prepare<'a> = dyn Fn(&Net, usize, Mode, Keep) -> Result<Box<dyn Executor>, String> + 'a;

/// An engine under test.
pub struct Subject<'a> {
    /// Its name in reports: the engine, and how it is prepared.
    pub name: &'a str,
    /// Makes an executor for batches of up to so many images.
    pub prepare: &'a Prepare<'a>,
    /// Cases that the engine cannot run, by the beginning of their names, and why. They are listed and counted.
    pub cannot: &'a [(&'a str, &'a str)],
}

impl Subject<'_> {
    /// An executor for training that keeps everything.
    pub(crate) fn train(&self, net: &Net, batch: usize) -> Result<Box<dyn Executor>, Fault> {
        self.make(net, batch, Mode::Train, Keep::Everything)
    }

    pub(crate) fn make(&self, net: &Net, batch: usize, mode: Mode, keep: Keep) -> Result<Box<dyn Executor>, Fault> {
        (self.prepare)(net, batch, mode, keep).map_err(|e| Fault::Contract(format!("prepare {}: {e}", net.name())))
    }

    /// Runs a case into `report`, unless the engine cannot.
    pub(crate) fn case(&self, report: &mut Report, name: &str, run: impl FnOnce(&mut Findings) -> Result<(), Fault>) {
        if let Some((_, reason)) = self.cannot.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            report.skipped.push(Skipped { case: name.into(), reason: (*reason).into() });
            return;
        }
        let mut findings = Findings::default();
        if let Err(fault) = run(&mut findings) {
            findings.faults.push(fault);
        }
        report.cases.push((name.into(), findings));
    }
}
