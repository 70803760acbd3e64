//! The engine under test.

use net::{Executor, Mode, Net, ParamSet};

use crate::bound::{LayerTiles, Propagation};
use crate::follow::Check;
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

/// The tiles of each layer of an executor's net, as the engine says.
pub type TilesOf<'a> = dyn Fn(&dyn Executor) -> Vec<LayerTiles> + 'a;

/// [`Subject::tiles`] of an engine that uses none: every value of a convolution is a plain sum of products.
pub fn no_tiles(exec: &dyn Executor) -> Vec<LayerTiles> {
    vec![LayerTiles::default(); exec.net().layers().len()]
}

/// An engine under test.
pub struct Subject<'a> {
    /// Its name in reports: the engine, and how it is prepared.
    pub name: &'a str,
    /// Makes an executor for batches of up to so many images.
    pub prepare: &'a Prepare<'a>,
    /// Where it computes convolutions by tiles, and is granted the bounds of those.
    pub tiles: &'a TilesOf<'a>,
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

    /// What compares passes of `exec`, made by this subject, with the oracle.
    pub(crate) fn check<'a>(&self, exec: &dyn Executor, net: &'a Net, params: &'a ParamSet, how: Propagation) -> Check<'a> {
        Check { net, params, how, tiles: (self.tiles)(exec) }
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
