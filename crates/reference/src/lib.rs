//! The oracle: every layer in f64, forward and backward, as the formula reads.
