//! A loader's batch in the pieces that an executor has room for.

use net::{Batch, Mixed};

use crate::Result;

/// Cuts batches. Holds one piece, so that cutting allocates nothing.
pub(crate) struct Splitter {
    most: usize,
    values_per_image: usize,
    piece: Option<Batch>,
}

impl Splitter {
    /// Pieces of at most `most` images of `values_per_image` values.
    pub(crate) fn new(most: usize, values_per_image: usize) -> Splitter {
        Splitter { most: most.max(1), values_per_image, piece: None }
    }

    /// Shows each piece with the position of its first image; the batch itself where it is small enough.
    pub(crate) fn each(&mut self, batch: &Batch, mut visit: impl FnMut(&Batch, usize) -> Result<()>) -> Result<()> {
        if batch.n <= self.most {
            return visit(batch, 0);
        }
        let (most, values) = (self.most, self.values_per_image);
        let piece =
            self.piece.get_or_insert_with(|| Batch { pixels: batch.pixels.room(most, values), ..Batch::with_capacity(most, 0) });
        for first in (0..batch.n).step_by(self.most) {
            piece.n = self.most.min(batch.n - first);
            piece.pixels.copy_images(&batch.pixels, first, piece.n, self.values_per_image);
            piece.labels[..piece.n].copy_from_slice(&batch.labels[first..][..piece.n]);
            match &batch.mixed {
                None => piece.mixed = None,
                Some(mixed) => {
                    let own = piece.mixed.get_or_insert_with(|| Mixed::with_capacity(self.most));
                    own.labels[..piece.n].copy_from_slice(&mixed.labels[first..][..piece.n]);
                    own.shares[..piece.n].copy_from_slice(&mixed.shares[first..][..piece.n]);
                }
            }
            visit(piece, first)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_every_image_once_and_in_order() {
        let mut batch = Batch::with_capacity(8, 3);
        batch.n = 7;
        batch.f32_mut().iter_mut().enumerate().for_each(|(i, v)| *v = i as f32);
        batch.labels = (0..8).collect();
        let mixed = Mixed { labels: (8..16).collect(), shares: (0..8).map(|i| i as f32 / 8.0).collect() };
        for mixed in [None, Some(mixed)] {
            batch.mixed = mixed;
            pieces_of(&batch);
        }
    }

    fn pieces_of(batch: &Batch) {
        for most in [1, 2, 3, 7, 8] {
            let (mut values, mut targets, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
            let mut splitter = Splitter::new(most, 3);
            splitter
                .each(batch, |piece, first| {
                    values.extend_from_slice(piece.f32());
                    targets.extend(piece.targets().iter());
                    assert_eq!(piece.mixed.is_some(), batch.mixed.is_some());
                    firsts.push(first);
                    Ok(())
                })
                .unwrap();
            assert_eq!(values, batch.f32());
            assert_eq!(targets, batch.targets().iter().collect::<Vec<_>>());
            assert_eq!(firsts, (0..7).step_by(most).collect::<Vec<_>>());
        }
    }
}
