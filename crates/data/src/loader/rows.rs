//! A batch whose images are filled by several threads at once.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::Loaded;

/// A batch that is being filled: lends out each image's place once, and gives the batch when all places are back.
#[derive(Debug)]
pub(super) struct Canvas {
    /// Not touched while a place is out.
    loaded: Option<Loaded>,
    /// Of the batch's pixels.
    base: NonNull<f32>,
    len: usize,
    /// Values of a place.
    each: usize,
    lent: usize,
    out: usize,
}

/// One image's place in a batch, `[views, c, h, w]`. It is given back to the canvas that lent it.
#[derive(Debug)]
pub(super) struct Place {
    values: NonNull<f32>,
    each: usize,
}

// SAFETY: a canvas is a batch and a pointer into that batch's own memory.
unsafe impl Send for Canvas {}
// SAFETY: the canvas lends each place once and keeps away from it until it is back, so a place is like a `&mut [f32]`.
unsafe impl Send for Place {}

impl Canvas {
    /// Of a batch whose images have `each` values.
    pub(super) fn new(mut loaded: Loaded, each: usize) -> Canvas {
        let pixels = loaded.batch.f32_mut();
        let (base, len) = (NonNull::from(&mut *pixels).cast(), pixels.len());
        Canvas { loaded: Some(loaded), base, len, each, lent: 0, out: 0 }
    }

    /// The place of the next image.
    ///
    /// # Panics
    /// Where the batch has no room for another.
    pub(super) fn lend(&mut self) -> Place {
        let begin = self.lent * self.each;
        assert!(begin + self.each <= self.len, "room for image {}", self.lent);
        self.lent += 1;
        self.out += 1;
        // SAFETY: within the batch's memory, as was just checked.
        let values = unsafe { self.base.add(begin) };
        Place { values, each: self.each }
    }

    /// Takes a place back.
    ///
    /// # Panics
    /// Where another canvas lent it.
    pub(super) fn take_back(&mut self, place: Place) {
        let address = |p: NonNull<f32>| p.as_ptr() as usize;
        let mine = address(self.base)..address(self.base) + self.len * size_of::<f32>();
        assert!(self.out > 0 && mine.contains(&address(place.values)), "a place of this canvas");
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
    pub(super) fn values(&mut self) -> &mut [f32] {
        // SAFETY: the canvas lent this memory to this place alone, and keeps it until the place is back.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.each) }
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
        let mut canvas = Canvas::new(loaded(), 4);
        let places: Vec<Place> = (0..3).map(|_| canvas.lend()).collect();
        let filled: Vec<Place> = std::thread::scope(|scope| {
            let fill = |(i, mut place): (usize, Place)| {
                place.values().fill(i as f32);
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
        let mut canvas = Canvas::new(loaded(), 4);
        let _places: Vec<Place> = (0..4).map(|_| canvas.lend()).collect();
    }

    #[test]
    #[should_panic(expected = "every place is back")]
    fn a_batch_is_not_done_while_a_place_is_out() {
        let mut canvas = Canvas::new(loaded(), 4);
        let _place = canvas.lend();
        canvas.finish();
    }

    #[test]
    #[should_panic(expected = "a place of this canvas")]
    fn a_place_goes_back_to_its_own_canvas() {
        let (mut canvas, mut other) = (Canvas::new(loaded(), 4), Canvas::new(loaded(), 4));
        let (place, _others) = (canvas.lend(), other.lend());
        other.take_back(place);
    }
}
