//! What passes say of their loss, on its way back.

use std::collections::VecDeque;

use net::{Result, StepLoss};

use crate::driver::{Driver, Event, Pinned, Queue};

/// Results that may be under way at once; the host waits for the oldest where there would be more.
const RING: usize = 64;
/// Results that wait for `take_loss` without an allocation.
const ARRIVED: usize = 1024;
/// Bytes of one: [`crate::args::PassResult`].
pub(super) const BYTES: usize = 32;

/// Results in order: those that have arrived, then those under way.
pub(super) struct Results {
    arrived: VecDeque<StepLoss>,
    slots: Vec<(Pinned, Event)>,
    /// The oldest under way, and how many are.
    first: usize,
    under_way: usize,
}

impl Results {
    pub(super) fn new(driver: &mut dyn Driver) -> Result<Results> {
        let slots = (0..RING).map(|_| Ok((driver.pinned(BYTES)?, driver.event()?))).collect::<Result<_>>()?;
        Ok(Results { arrived: VecDeque::with_capacity(ARRIVED), slots, first: 0, under_way: 0 })
    }

    /// Sends for the result of the pass that was put on the compute queue last, which lies `at` on the device.
    pub(super) fn send_for(&mut self, driver: &mut dyn Driver, at: u64) -> Result<()> {
        if self.under_way == RING {
            self.arrive(driver)?;
        }
        let (pinned, event) = self.slots[(self.first + self.under_way) % RING];
        driver.copy_out(at, pinned, BYTES, Queue::Compute)?;
        driver.record(event, Queue::Compute)?;
        self.under_way += 1;
        Ok(())
    }

    /// Waits for the oldest under way.
    fn arrive(&mut self, driver: &mut dyn Driver) -> Result<()> {
        let (pinned, event) = self.slots[self.first];
        driver.block_on(event)?;
        self.arrived.push_back(read(driver.bytes(pinned)));
        self.first = (self.first + 1) % RING;
        self.under_way -= 1;
        Ok(())
    }

    /// The oldest result; `None` where there is none or, unless `wait`, it is under way.
    pub(super) fn take(&mut self, driver: &mut dyn Driver, wait: bool) -> Result<Option<StepLoss>> {
        if self.arrived.is_empty() && self.under_way > 0 && (wait || driver.is_done(self.slots[self.first].1)?) {
            self.arrive(driver)?;
        }
        Ok(self.arrived.pop_front())
    }
}

/// A result as the kernel `sum_losses` writes it.
fn read(bytes: &[u8]) -> StepLoss {
    let number = |at: usize| bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let nll_sum = bytes.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(f64::NAN, f64::from_ne_bytes);
    StepLoss { nll_sum, top1: number(8), images: number(12), step: number(16) }
}
