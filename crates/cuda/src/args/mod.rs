//! What kernels are called with: one structure each, written once, for both sides.
//!
//! [`args!`] makes of each structure the Rust type whose bytes cross over and the text of the C structure that reads them, so
//! the two cannot differ. [`header`] is the file `args.cuh` that kernels include.

pub(crate) mod layers;
pub(crate) mod macros;
mod products;

use macros::args;
pub(crate) use macros::{Bytes, CType, Elems, Floats, Ptr, Struct, Uints};
pub(crate) use products::{Conv, Divisor};

args! {
    /// What a pass depends on besides pixels and parameters: [`net::StepInfo`], on the device, so that a recorded step needs no
    /// other arguments.
    pub(crate) struct Step {
        seed: u64,
        /// The number of the training step.
        step: u32,
        /// Where the batch's first image stands in the step's mini-batch; gradients are added to where it is not 0.
        first_image: u32,
        /// Images of the whole step.
        step_images: u32,
        /// Images of this batch, the `n` of every kernel.
        images: u32,
        /// What the loss's gradient is multiplied by, against underflow in f16; 1 elsewhere.
        loss_scale: f32,
        /// Whether the pixels are [`net::Bytes`], and not f32.
        bytes: u32,
        /// Of [`net::Toning`]: the map's colours, two bits each from the first map on, and the means.
        order: u32,
        moves: u32,
        mean_height: u32,
        mean_width: u32,
        mean: Floats,
    }

    /// [`net::Look`], on the device.
    pub(crate) struct Look {
        top: u32,
        left: u32,
        reflected: u32,
        shift_0: f32,
        shift_1: f32,
        shift_2: f32,
        scale_0: f32,
        scale_1: f32,
        scale_2: f32,
    }
}

impl Step {
    /// Of a batch without images.
    pub(crate) const NONE: Step = Step {
        seed: 0,
        step: 0,
        first_image: 0,
        step_images: 1,
        images: 0,
        loss_scale: 1.0,
        bytes: 0,
        order: 0,
        moves: 0,
        mean_height: 0,
        mean_width: 0,
        mean: Ptr::NULL,
    };
}

/// The text of `args.cuh`.
pub(crate) fn header() -> String {
    let products = [Step::C, Look::C, Divisor::C, Conv::C];
    let structs: Vec<String> = products.iter().chain(&layers::STRUCTS).map(|write| write()).collect();
    format!("// Written by the program: crates/cuda/src/args.\n#pragma once\n#include \"device.cuh\"\n\n{}", structs.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_reads_alike_in_both_languages() {
        let text = header();
        assert!(text.contains("struct Step {\n    u64 seed;\n    u32 step;\n    u32 first_image;\n"), "{text}");
        assert!(text.contains("static_assert(sizeof(Step) == 56, \"Step\");"), "{text}");
    }
}
