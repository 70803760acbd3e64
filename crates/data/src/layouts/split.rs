//! Validation images for data sets that have none: some of each class.

use net::random::{Purpose, Stream, permutation};

use super::OpenOptions;

/// Divides the images of class `number` by a shuffle of their own into those to learn from and those to validate on, both in
/// the order given: at least one stays to learn from, and at least one of two or more is to validate on.
pub(super) fn divide<T>(images: Vec<T>, number: usize, options: &OpenOptions) -> (Vec<T>, Vec<T>) {
    let n = images.len();
    let share = match options.val_fraction {
        0.0 => 0,
        fraction => ((n as f64 * fraction).round() as usize).max(1).min(n.saturating_sub(1)),
    };
    let shuffled = permutation(Stream::new(options.seed, Purpose::Split, 0, 0, number as u32), n);
    let mut is_val = vec![false; n];
    shuffled.iter().take(share).for_each(|&i| is_val[i as usize] = true);
    let (kept, given): (Vec<_>, Vec<_>) = images.into_iter().zip(is_val).partition(|(_, is_val)| !is_val);
    let images = |part: Vec<(T, bool)>| part.into_iter().map(|(image, _)| image).collect();
    (images(kept), images(given))
}

/// What is to be said where `val` of `all` images were divided off.
pub(super) fn note(val: usize, all: usize, options: &OpenOptions) -> String {
    match val {
        0 if options.val_fraction == 0.0 => "there are no validation images, as asked for".into(),
        0 => "every class has a single image: there are no validation images".into(),
        n => {
            let percent = 100.0 * options.val_fraction;
            format!("there is no validation folder: {n} of {all} images, {percent} % of each class, are split off for it")
        }
    }
}
