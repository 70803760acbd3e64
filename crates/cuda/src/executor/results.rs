//! What passes say of their loss, on its way back.

use std::collections::VecDeque;

use net::{Result, StepLoss};

use crate::args::layers::PassResult;
use crate::driver::{Driver, Event, Pinned, Queue};

/// Results that may be under way at once; the host waits for the oldest where there would be more.
const RING: usize = 64;
/// Results that wait for `take_loss` without an allocation.
const ARRIVED: usize = 1024;

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
        let slots = (0..RING).map(|_| Ok((driver.pinned(PassResult::LEN)?, driver.event()?))).collect::<Result<_>>()?;
        Ok(Results { arrived: VecDeque::with_capacity(ARRIVED), slots, first: 0, under_way: 0 })
    }

    /// Sends for the result of the pass that was put on the compute queue last, which lies `at` on the device.
    pub(super) fn send_for(&mut self, driver: &mut dyn Driver, at: u64) -> Result<()> {
        if self.under_way == RING {
            self.arrive(driver)?;
        }
        let (pinned, event) = self.slots[(self.first + self.under_way) % RING];
        driver.copy_out(at, pinned, PassResult::LEN, Queue::Compute)?;
        driver.record(event, Queue::Compute)?;
        self.under_way += 1;
        Ok(())
    }

    /// Waits for the oldest under way.
    fn arrive(&mut self, driver: &mut dyn Driver) -> Result<()> {
        let (pinned, event) = self.slots[self.first];
        driver.block_on(event)?;
        let mut bytes = [0; PassResult::LEN];
        bytes.copy_from_slice(driver.bytes(pinned));
        let PassResult { nll_sum, top1, images, step, .. } = PassResult::from_bytes(bytes);
        self.arrived.push_back(StepLoss { nll_sum, top1, images, step });
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
