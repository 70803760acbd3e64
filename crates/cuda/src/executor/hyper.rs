//! The numbers of an update, on their way to the device.

use net::{Form, Hyper, Result};

use crate::driver::{Driver, Event, Pinned, Queue};
use crate::plan::Plan;

/// A table in device memory: [`crate::args::Step`] of nothing but the loss scale, momentum and form, and each parameter's rate and decay.
/// It is written only when its numbers change.
pub(super) struct HyperTable {
    last: Option<Hyper>,
    /// The host writes one while the other may be under way.
    pinned: [(Pinned, Event); 2],
    next: usize,
    /// Where it lies on the device.
    pub(super) at: u64,
}

/// Where momentum and form begin, and then the rates.
pub(super) const NUMBERS_AT: usize = 64;
pub(super) const RATES_AT: usize = 96;

impl HyperTable {
    pub(super) fn new(driver: &mut dyn Driver, plan: &Plan) -> Result<HyperTable> {
        let bytes = Self::bytes(plan);
        let at = driver.memory(bytes as u64)?;
        let mut one = || -> Result<(Pinned, Event)> { Ok((driver.pinned(bytes)?, driver.event()?)) };
        let pinned = [one()?, one()?];
        Ok(HyperTable { last: None, pinned, next: 0, at })
    }

    /// Bytes of the table.
    pub(super) fn bytes(plan: &Plan) -> usize {
        RATES_AT + plan.parameters.each.len() * 8
    }

    /// Puts the numbers of the next update on the compute queue, unless they are there.
    pub(super) fn set(&mut self, driver: &mut dyn Driver, hyper: &Hyper, step: &[u8]) -> Result<()> {
        if self.last.as_ref() == Some(hyper) {
            return Ok(());
        }
        let (pinned, copied) = self.pinned[self.next];
        self.next = (self.next + 1) % self.pinned.len();
        driver.block_on(copied)?;
        let bytes = driver.bytes(pinned);
        bytes[..step.len()].copy_from_slice(step);
        let form: u32 = match hyper.form {
            Form::RateInside => 0,
            Form::RateOutside => 1,
        };
        bytes[NUMBERS_AT..NUMBERS_AT + 4].copy_from_slice(&hyper.momentum.to_ne_bytes());
        bytes[NUMBERS_AT + 4..NUMBERS_AT + 8].copy_from_slice(&form.to_ne_bytes());
        for (to, param) in bytes[RATES_AT..].chunks_exact_mut(8).zip(&hyper.params) {
            to[..4].copy_from_slice(&param.rate.to_ne_bytes());
            to[4..].copy_from_slice(&param.decay.to_ne_bytes());
        }
        driver.copy_in(pinned, self.at, RATES_AT + hyper.params.len() * 8, Queue::Compute)?;
        driver.record(copied, Queue::Compute)?;
        match &mut self.last {
            // Nothing is allocated by a step: the lengths are the same.
            Some(last) => last.clone_from(hyper),
            None => self.last = Some(hyper.clone()),
        }
        Ok(())
    }
}
