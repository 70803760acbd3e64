//! What training does to images beyond the paper's crop, reflection and colour noise.
//!
//! Each is torchvision's of the same name (transforms.v2 0.29) and absent unless [`crate::Preprocessing`] asks for it. They
//! come in the order of torchvision's recipes: [`RandomResizedCrop`], reflection; then the paper's colour noise and the
//! normalisation.
//!
//! Random numbers are addressed by seed, epoch and image, each kind with a stream of its own, so that one being switched on
//! or off changes none of another's.

mod resized_crop;

use net::random::{Purpose, Stream};

pub use resized_crop::RandomResizedCrop;
pub(crate) use resized_crop::cut;

use crate::Result;

/// The image of an epoch for which random numbers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The run's seed.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// The source's index.
    pub image: u32,
}

/// What the random numbers of an address are for. The values belong to what a seed promises: never renumber.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
enum For {
    ResizedCrop = 0,
}

impl Address {
    fn stream(self, what: For) -> Stream {
        Stream::new(self.seed, Purpose::Augment, what as u32, self.epoch, self.image)
    }
}

/// The value a share `u` of the way from the first to the second.
fn between([from, to]: [f64; 2], u: f64) -> f64 {
    from + (to - from) * u
}

/// Whether `range` goes upwards between two bounds.
fn check_range(what: &str, [from, to]: [f64; 2], least: f64, most: f64) -> Result<()> {
    // Written so that a NaN does not pass.
    if least <= from && from <= to && to <= most {
        return Ok(());
    }
    let bounds = if most.is_finite() { format!("between {least} and {most}") } else { format!("above {least}, finite") };
    Err(crate::Error::Preprocessing(format!("{what} = [{from}, {to}] does not go upwards {bounds}")))
}
