//! What pixels of bytes have in common, on the device.

use std::sync::Arc;

use net::{Bytes, Error, Result, Shape, Toning};

use crate::args::{Ptr, Step};
use crate::driver::Driver;

/// The means of the batches, which are mostly the same ones from the first batch to the last.
#[derive(Default)]
pub(super) struct Tones {
    last: Option<(Arc<Toning>, u64)>,
}

impl Tones {
    /// Has `step` say how bytes become values. Means that are new are copied to a memory of their own.
    pub(super) fn show(&mut self, driver: &mut dyn Driver, toning: &Arc<Toning>, step: &mut Step) -> Result<()> {
        let known = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, toning) || last == toning);
        let at = match known {
            Some((_, at)) => *at,
            None => {
                let bytes: Vec<u8> = toning.mean.iter().flat_map(|mean| mean.to_ne_bytes()).collect();
                let at = driver.memory(bytes.len() as u64)?;
                driver.upload(&bytes, at)?;
                self.last = Some((Arc::clone(toning), at));
                at
            }
        };
        let [first, second, third] = toning.order.map(u32::from);
        step.bytes = 1;
        step.order = first | second << 2 | third << 4;
        step.moves = toning.moves.into();
        (step.mean_height, step.mean_width) = (toning.height as u32, toning.width as u32);
        step.mean = Ptr::at(at);
        Ok(())
    }
}

/// Whether the first `n` crops, of the shape of the net's input, can be shown.
pub(super) fn check(bytes: &Bytes, n: usize, input: Shape) -> Result<()> {
    let (toning, Shape { h, w, .. }) = (&bytes.toning, input);
    let fault = |message: String| Err(Error::Batch(message));
    if toning.order.iter().any(|&colour| colour > 2) {
        return fault(format!("maps of the colours {:?}; there are 0, 1 and 2", toning.order));
    }
    if toning.mean.len() != 3 * toning.height * toning.width {
        return fault(format!("{} means for 3 maps of {} rows and {} columns", toning.mean.len(), toning.height, toning.width));
    }
    for (i, look) in bytes.looks[..n].iter().enumerate() {
        let [top, left] = if toning.moves { look.place.map(|at| at as usize) } else { [0, 0] };
        if top + h > toning.height || left + w > toning.width {
            return fault(format!("image {i} has no means: it lies at {top}, {left} of {} × {}", toning.height, toning.width));
        }
    }
    Ok(())
}
