//! Where a batch lies on its way to the device.

use net::{Batch, Result, StepInfo};

use crate::args::{Floats, Ptr, Step, Struct, Uints};
use crate::driver::{Driver, Event, Pinned, Queue};
use crate::plan::Plan;

/// Stages: one is copied from while the other is worked on.
pub(super) const STAGES: usize = 2;

/// One batch, in pinned memory and on the device alike: [`Step`], labels, second labels, shares, and the pixels as they come.
pub(super) struct Stage {
    pinned: Pinned,
    /// Where it lies on the device.
    at: u64,
    capacity: usize,
    /// Values of an image.
    image: usize,
    /// The copy is done, so the host may write again.
    copied: Event,
    /// The pass is done, so the device's copy may be overwritten.
    used: Event,
}

impl Stage {
    pub(super) fn new(driver: &mut dyn Driver, plan: &Plan) -> Result<Stage> {
        let (capacity, image) = (plan.capacity, plan.net.input().len());
        let bytes = Stage::bytes(plan);
        let (pinned, at) = (driver.pinned(bytes)?, driver.memory(bytes as u64)?);
        Ok(Stage { pinned, at, capacity, image, copied: driver.event()?, used: driver.event()? })
    }

    /// Bytes of a stage.
    pub(super) fn bytes(plan: &Plan) -> usize {
        pixels_at(plan.capacity) + plan.capacity * plan.net.input().len() * size_of::<f32>()
    }

    pub(super) fn step(&self) -> Ptr<Step> {
        Ptr::at(self.at)
    }

    pub(super) fn labels(&self) -> Uints {
        Ptr::at(self.at + labels_at() as u64)
    }

    pub(super) fn second_labels(&self) -> Uints {
        Ptr::at(self.at + (labels_at() + 4 * self.capacity) as u64)
    }

    pub(super) fn shares(&self) -> Floats {
        Ptr::at(self.at + (labels_at() + 8 * self.capacity) as u64)
    }

    pub(super) fn pixels(&self) -> Floats {
        Ptr::at(self.at + pixels_at(self.capacity) as u64)
    }

    /// Takes a batch in and starts its copy; what is put on the compute queue from now on waits for it. The host waits only where
    /// the copy of the batch before last is not done.
    pub(super) fn take(&self, driver: &mut dyn Driver, batch: &Batch, info: Option<StepInfo>, loss_scale: f32) -> Result<()> {
        driver.block_on(self.copied)?;
        let (n, trains) = (batch.n, info.is_some());
        let info = info.unwrap_or(StepInfo { seed: 0, step: 0, first_image: 0, step_images: 1 });
        let step = Step {
            seed: info.seed,
            step: info.step,
            first_image: info.first_image,
            step_images: info.step_images,
            images: n as u32,
            loss_scale,
            reserved: 0,
        };
        let bytes = driver.bytes(self.pinned);
        bytes[..size_of::<Step>()].copy_from_slice(&step.bytes());
        if trains {
            self.write_targets(bytes, batch);
        }
        let len = n * self.image * size_of::<f32>();
        let pixels = pixels_at(self.capacity);
        for (to, from) in bytes[pixels..pixels + len].chunks_exact_mut(4).zip(batch.f32()) {
            to.copy_from_slice(&from.to_ne_bytes());
        }
        driver.wait(Queue::Copy, self.used)?;
        driver.copy_in(self.pinned, self.at, pixels + len, Queue::Copy)?;
        driver.record(self.copied, Queue::Copy)?;
        driver.wait(Queue::Compute, self.copied)
    }

    /// An image that is no mixture has its label twice.
    fn write_targets(&self, bytes: &mut [u8], batch: &Batch) {
        let column = |index: usize| labels_at() + 4 * self.capacity * index;
        for i in 0..batch.n {
            let target = batch.targets().get(i);
            let fields = [target.label.to_ne_bytes(), target.second.to_ne_bytes(), target.share.to_ne_bytes()];
            for (index, field) in fields.iter().enumerate() {
                bytes[column(index) + 4 * i..][..4].copy_from_slice(field);
            }
        }
    }

    /// The batch has been used when everything that is on the compute queue is done.
    pub(super) fn release(&self, driver: &mut dyn Driver) -> Result<()> {
        driver.record(self.used, Queue::Compute)
    }
}

fn labels_at() -> usize {
    size_of::<Step>()
}

/// Where the pixels begin: whole vectors lie aligned.
fn pixels_at(capacity: usize) -> usize {
    (labels_at() + 12 * capacity).next_multiple_of(256)
}
