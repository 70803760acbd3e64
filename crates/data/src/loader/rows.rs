//! A batch whose images are filled by several threads at once.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use net::{Look, Pixels};

use super::Loaded;
use crate::pipeline::Room;

/// A batch that is being filled: lends out each image's place once, and gives the batch when all places are back.
#[derive(Debug)]
pub(super) struct Canvas {
    /// Not touched while a place is out.
    loaded: Option<Loaded>,
    /// Of the batch's pixels.
    base: Base,
    /// Views that there is room for, and those of a place.
    len: usize,
    views: usize,
    /// Values of a view.
    values: usize,
    lent: usize,
    out: usize,
}

/// Memory of one of the forms of [`Pixels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    F32(NonNull<f32>),
    Bytes(NonNull<u8>, NonNull<Look>),
}

/// One image's place in a batch. It is given back to the canvas that lent it.
#[derive(Debug)]
pub(super) struct Place {
    base: Base,
    /// The canvas's.
    of: Base,
    views: usize,
    values: usize,
}

// SAFETY: a canvas is a batch and pointers into that batch's own memory.
unsafe impl Send for Canvas {}
// SAFETY: the canvas lends each place once and keeps away from it until it is back, so a place is like a `&mut` of its values.
unsafe impl Send for Place {}

impl Canvas {
    /// Of a batch whose images have `views` of `values` each.
    pub(super) fn new(mut loaded: Loaded, views: usize, values: usize) -> Canvas {
        let (base, len) = match &mut loaded.batch.pixels {
            Pixels::F32(all) => (Base::F32(NonNull::from(&mut all[..]).cast()), all.len() / values),
            Pixels::Bytes(all) => {
                let (rgb, looks) = (NonNull::from(&mut all.rgb[..]).cast(), NonNull::from(&mut all.looks[..]).cast());
                (Base::Bytes(rgb, looks), (all.rgb.len() / values).min(all.looks.len()))
            }
            _ => unreachable!("the loader makes no others"),
        };
        Canvas { loaded: Some(loaded), base, len, views, values, lent: 0, out: 0 }
    }

    /// The place of the next image.
    ///
    /// # Panics
    /// Where the batch has no room for another.
    pub(super) fn lend(&mut self) -> Place {
        let begin = self.lent * self.views;
        assert!(begin + self.views <= self.len, "room for image {}", self.lent);
        self.lent += 1;
        self.out += 1;
        let base = match self.base {
            // SAFETY: within the batch's memory, as was just checked.
            Base::F32(at) => Base::F32(unsafe { at.add(begin * self.values) }),
            // SAFETY: as above, of both.
            Base::Bytes(rgb, looks) => unsafe { Base::Bytes(rgb.add(begin * self.values), looks.add(begin)) },
        };
        Place { base, of: self.base, views: self.views, values: self.values }
    }

    /// Takes a place back.
    ///
    /// # Panics
    /// Where another canvas lent it.
    pub(super) fn take_back(&mut self, place: Place) {
        assert!(self.out > 0 && place.of == self.base, "a place of this canvas");
        self.out -= 1;
    }

    /// The batch.
    ///
    /// # Panics
    /// Where a place is still out.
    pub(super) fn finish(mut self) -> Loaded {
        assert_eq!(self.out, 0, "every place is back");
        self.loaded.take().expect("held until here")
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        if self.out > 0 {
            // A thread that panicked may have kept a place: its memory must stay.
            std::mem::forget(self.loaded.take());
        }
    }
}

impl Place {
    pub(super) fn room(&mut self) -> Room<'_> {
        let len = self.views * self.values;
        // SAFETY: the canvas lent this memory to this place alone, and keeps it until the place is back.
        unsafe {
            match self.base {
                Base::F32(at) => Room::F32(std::slice::from_raw_parts_mut(at.as_ptr(), len)),
                Base::Bytes(rgb, looks) => Room::Bytes(
                    std::slice::from_raw_parts_mut(rgb.as_ptr(), len),
                    std::slice::from_raw_parts_mut(looks.as_ptr(), self.views),
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use net::Batch;

    use super::*;

    fn loaded() -> Loaded {
        Loaded { batch: Batch::with_capacity(3, 4), samples: vec![], epoch: 0, index: 0 }
    }

    #[test]
    fn places_are_filled_by_threads_and_make_up_the_batch() {
        let mut canvas = Canvas::new(loaded(), 2, 2);
        let places: Vec<Place> = (0..3).map(|_| canvas.lend()).collect();
        let filled: Vec<Place> = std::thread::scope(|scope| {
            let fill = |(i, mut place): (usize, Place)| {
                let Room::F32(values) = place.room() else { unreachable!("pixels are f32") };
                values.fill(i as f32);
                place
            };
            let threads: Vec<_> = places.into_iter().enumerate().map(|p| scope.spawn(move || fill(p))).collect();
            threads.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        filled.into_iter().for_each(|place| canvas.take_back(place));
        let mut loaded = canvas.finish();
        assert_eq!(loaded.batch.f32_mut(), [0., 0., 0., 0., 1., 1., 1., 1., 2., 2., 2., 2.]);
    }

    #[test]
    #[should_panic(expected = "room for image 3")]
    fn no_place_is_lent_beyond_the_batch() {
        let mut canvas = Canvas::new(loaded(), 2, 2);
        let _places: Vec<Place> = (0..4).map(|_| canvas.lend()).collect();
    }

    #[test]
    #[should_panic(expected = "every place is back")]
    fn a_batch_is_not_done_while_a_place_is_out() {
        let mut canvas = Canvas::new(loaded(), 2, 2);
        let _place = canvas.lend();
        canvas.finish();
    }

    #[test]
    #[should_panic(expected = "a place of this canvas")]
    fn a_place_goes_back_to_its_own_canvas() {
        let (mut canvas, mut other) = (Canvas::new(loaded(), 2, 2), Canvas::new(loaded(), 2, 2));
        let (place, _others) = (canvas.lend(), other.lend());
        other.take_back(place);
    }
}
