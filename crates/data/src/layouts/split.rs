//! Validation images for data sets that come without.

use std::borrow::Cow;
use std::sync::Arc;

use net::random::{Purpose, Stream, permutation};

use super::OpenOptions;
use crate::{Content, Result, Source};

/// Which of `n` images of class `class` are for validation: at least one stays for training, and at least one of two or
/// more is for validation.
pub(super) fn held_out(n: usize, class: u32, options: &OpenOptions) -> Vec<bool> {
    let share = match options.val_fraction {
        0.0 => 0,
        fraction => ((n as f64 * fraction).round() as usize).max(1).min(n.saturating_sub(1)),
    };
    let shuffled = permutation(Stream::new(options.seed, Purpose::Split, 0, 0, class), n);
    let mut is_val = vec![false; n];
    shuffled.iter().take(share).for_each(|&i| is_val[i as usize] = true);
    is_val
}

/// Divides the images of class `class` into those to learn from and those to validate on, both in the order given.
pub(super) fn divide<T>(images: Vec<T>, class: u32, options: &OpenOptions) -> (Vec<T>, Vec<T>) {
    let is_val = held_out(images.len(), class, options);
    let (kept, given): (Vec<_>, Vec<_>) = images.into_iter().zip(is_val).partition(|(_, is_val)| !is_val);
    let images = |part: Vec<(T, bool)>| part.into_iter().map(|(image, _)| image).collect();
    (images(kept), images(given))
}

/// What to say about `val` of `all` images that were split off for want of a validation `what`.
pub(super) fn split_note(what: &str, val: usize, all: usize, options: &OpenOptions) -> String {
    match val {
        0 if options.val_fraction == 0.0 => "there are no validation images, as asked for".into(),
        0 => "every class has a single image: there are no validation images".into(),
        n => {
            let percent = 100.0 * options.val_fraction;
            format!("there is no validation {what}: {n} of {all} images, {percent} % of each class, are split off for it")
        }
    }
}

/// Splits `source`, each of its `classes` by a shuffle of its own, and says so for want of a validation `what`.
pub(super) fn split(
    source: Arc<dyn Source>,
    classes: usize,
    what: &str,
    options: &OpenOptions,
    notes: &mut Vec<String>,
) -> (Arc<dyn Source>, Arc<dyn Source>) {
    let mut of_class = vec![Vec::new(); classes];
    (0..source.len()).for_each(|index| of_class[source.label(index) as usize].push(index as u32));
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (class, images) in of_class.iter().enumerate() {
        let is_val = held_out(images.len(), class as u32, options);
        images.iter().zip(is_val).for_each(|(&index, is_val)| if is_val { &mut val } else { &mut train }.push(index));
    }
    notes.push(split_note(what, val.len(), source.len(), options));
    let part = |mut indices: Vec<u32>| {
        indices.sort_unstable();
        Arc::new(Subset { source: Arc::clone(&source), indices })
    };
    (part(train), part(val))
}

/// Some of the images of a source, in its order.
struct Subset {
    source: Arc<dyn Source>,
    indices: Vec<u32>,
}

impl Source for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.source.label(self.indices[index] as usize)
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        self.source.name(self.indices[index] as usize)
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        self.source.fetch(self.indices[index] as usize, buffer)
    }

    fn announce(&self, indices: &[u32]) {
        let own: Vec<u32> = indices.iter().map(|&index| self.indices[index as usize]).collect();
        self.source.announce(&own);
    }
}
