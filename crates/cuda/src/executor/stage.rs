//! Where a batch lies on its way to the device.

use net::{Batch, Pixels, Result, StepInfo};

use crate::args::{self, Floats, Look, Ptr, Step, Struct, Uints};
use crate::driver::{Driver, Event, Pinned, Queue};
use crate::plan::Plan;

/// Stages: one is copied from while the other is worked on.
pub(super) const STAGES: usize = 2;

/// One batch, in pinned memory and on the device alike: [`Step`], labels, second labels, shares, how each image looks, and the pixels as
/// they come, f32 or bytes.
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
        Ptr::at(self.at + labels_at(self.capacity, 0) as u64)
    }

    pub(super) fn second_labels(&self) -> Uints {
        Ptr::at(self.at + labels_at(self.capacity, 1) as u64)
    }

    pub(super) fn shares(&self) -> Floats {
        Ptr::at(self.at + labels_at(self.capacity, 2) as u64)
    }

    pub(super) fn looks(&self) -> Ptr<Look> {
        Ptr::at(self.at + looks_at(self.capacity) as u64)
    }

    pub(super) fn pixels(&self) -> Floats {
        Ptr::at(self.at + pixels_at(self.capacity) as u64)
    }

    pub(super) fn rgb(&self) -> args::Bytes {
        Ptr::at(self.pixels().address)
    }

    /// Takes a batch in and starts its copy; what is put on the compute queue from now on waits for it. The host waits only where
    /// the copy of the batch before last is not done. `step` says what the batch and its pixels have in common beside `info`.
    pub(super) fn take(&self, driver: &mut dyn Driver, batch: &Batch, info: Option<StepInfo>, step: Step) -> Result<()> {
        driver.block_on(self.copied)?;
        let step = Step { images: batch.n as u32, ..step };
        let step = info.map_or(step, |info| Step {
            seed: info.seed,
            step: info.step,
            first_image: info.first_image,
            step_images: info.step_images,
            ..step
        });
        let bytes = driver.bytes(self.pinned);
        bytes[..size_of::<Step>()].copy_from_slice(&step.bytes());
        if info.is_some() {
            self.write_targets(bytes, batch);
        }
        let len = self.write_pixels(bytes, batch);
        driver.wait(Queue::Copy, self.used)?;
        driver.copy_in(self.pinned, self.at, len, Queue::Copy)?;
        driver.record(self.copied, Queue::Copy)?;
        driver.wait(Queue::Compute, self.copied)
    }

    /// An image that is no mixture has its label twice.
    fn write_targets(&self, bytes: &mut [u8], batch: &Batch) {
        for (i, target) in batch.targets().iter().enumerate() {
            let fields = [target.label.to_ne_bytes(), target.second.to_ne_bytes(), target.share.to_ne_bytes()];
            for (column, field) in fields.iter().enumerate() {
                bytes[labels_at(self.capacity, column) + 4 * i..][..4].copy_from_slice(field);
            }
        }
    }

    /// Returns where the last of the pixels ends.
    fn write_pixels(&self, bytes: &mut [u8], batch: &Batch) -> usize {
        let (begin, values) = (pixels_at(self.capacity), batch.n * self.image);
        let (before, pixels) = bytes.split_at_mut(begin);
        match &batch.pixels {
            Pixels::Bytes(given) => {
                let looks = before[looks_at(self.capacity)..].chunks_exact_mut(size_of::<Look>());
                looks.zip(&given.looks[..batch.n]).for_each(|(to, look)| to.copy_from_slice(&look_of(look).bytes()));
                pixels[..values].copy_from_slice(&given.rgb[..values]);
                begin + values
            }
            _ => {
                let floats = pixels.chunks_exact_mut(4).zip(batch.f32());
                floats.for_each(|(to, from)| to.copy_from_slice(&from.to_ne_bytes()));
                begin + 4 * values
            }
        }
    }

    /// The batch has been used when everything that is on the compute queue is done.
    pub(super) fn release(&self, driver: &mut dyn Driver) -> Result<()> {
        driver.record(self.used, Queue::Compute)
    }
}

fn look_of(look: &net::Look) -> Look {
    let ([top, left], [shift_0, shift_1, shift_2], [scale_0, scale_1, scale_2]) = (look.place, look.shift, look.scale);
    Look { top, left, reflected: look.reflected.into(), shift_0, shift_1, shift_2, scale_0, scale_1, scale_2 }
}

/// Where labels, second labels and shares begin.
fn labels_at(capacity: usize, column: usize) -> usize {
    size_of::<Step>() + 4 * capacity * column
}

fn looks_at(capacity: usize) -> usize {
    labels_at(capacity, 3)
}

/// Where the pixels begin: whole vectors lie aligned.
fn pixels_at(capacity: usize) -> usize {
    (looks_at(capacity) + size_of::<Look>() * capacity).next_multiple_of(256)
}
