//! Images in, batches out: find, decode, resize, augment, and the built-in data set.
