//! Where a loader's time goes.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// What a loader has done since it was started, and how long its threads took for it, summed over threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stages {
    /// Images prepared.
    pub images: u64,
    /// Bytes that their sources hold of them: of files, or of pixels.
    pub bytes: u64,
    /// Reading, or rendering. What lies in a memory map is read while it is decoded.
    #[serde(rename = "read_seconds", serialize_with = "seconds")]
    pub read: Duration,
    /// Decoding.
    #[serde(rename = "decode_seconds", serialize_with = "seconds")]
    pub decode: Duration,
    /// Resizing, cropping, noise, and writing the net's input.
    #[serde(rename = "augment_seconds", serialize_with = "seconds")]
    pub augment: Duration,
    /// Waiting for a batch to be given back: the reader is slower.
    #[serde(rename = "idle_seconds", serialize_with = "seconds")]
    pub idle: Duration,
    /// How long the reader waited for batches; not a thread's time.
    #[serde(rename = "wait_seconds", serialize_with = "seconds")]
    pub wait: Duration,
    /// Threads.
    pub threads: usize,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

impl Stages {
    /// What was done since `earlier`.
    pub fn since(&self, earlier: &Stages) -> Stages {
        Stages {
            images: self.images - earlier.images,
            bytes: self.bytes - earlier.bytes,
            read: self.read - earlier.read,
            decode: self.decode - earlier.decode,
            augment: self.augment - earlier.augment,
            idle: self.idle - earlier.idle,
            wait: self.wait - earlier.wait,
            threads: self.threads,
        }
    }

    /// Images a second that the threads prepare when nothing holds them up; 0 before the first image.
    pub fn images_per_s(&self) -> f64 {
        let busy = (self.read + self.decode + self.augment).as_secs_f64();
        if busy > 0.0 { self.images as f64 * self.threads as f64 / busy } else { 0.0 }
    }

    /// The stage that takes longest: `read`, `decode` or `augment`.
    pub fn longest(&self) -> &'static str {
        let stages = [("read", self.read), ("decode", self.decode), ("augment", self.augment)];
        stages.into_iter().max_by_key(|(_, time)| *time).map_or("read", |(name, _)| name)
    }
}
