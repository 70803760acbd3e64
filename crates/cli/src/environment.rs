//! The environment variables that the program reads, all of them.

use std::env;

use crate::failure::{Failure, Result};

/// An environment variable and what it does.
struct Knob {
    name: &'static str,
    effect: &'static str,
}

const ISA: Knob =
    Knob { name: "ALEXNET_ISA", effect: "use at most this instruction set: scalar, avx2 or avx512 (default: the best one here)" };
const NO_COLOR: Knob = Knob { name: "NO_COLOR", effect: "print no colours" };

const KNOBS: &[Knob] = &[ISA, NO_COLOR];

/// The table of variables for the help text.
pub(crate) fn table() -> String {
    let mut text = String::from("Environment:\n");
    for Knob { name, effect } in KNOBS {
        text += &format!("  {name:<12} {effect}\n");
    }
    text
}
