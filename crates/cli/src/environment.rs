//! The environment variables that the program reads, all of them.

use std::env;

use cpu::Isa;

use crate::failure::{Failure, Result};

/// An environment variable and what it does.
struct Knob {
    name: &'static str,
    effect: &'static str,
}

const ISA: Knob =
    Knob { name: "ALEXNET_ISA", effect: "the instruction set: portable, avx2 or avx512 [default: the best one here]" };
const NO_COLOR: Knob = Knob { name: "NO_COLOR", effect: "set to anything, help and mistakes have no colours" };

const KNOBS: &[Knob] = &[ISA, NO_COLOR];

/// The table of variables for the help text.
pub(crate) fn table() -> String {
    let mut text = String::from("Environment:\n");
    for Knob { name, effect } in KNOBS {
        text += &format!("  {name:<12} {effect}\n");
    }
    text
}

/// The instruction set that `ALEXNET_ISA` names, or the best one here.
pub(crate) fn isa() -> Result<Isa> {
    let Some(name) = env::var_os(ISA.name) else { return Ok(Isa::detect()) };
    let choices = || format!("set {} to {}, or unset it", ISA.name, available());
    let refused = |message: String| Failure::usage(format!("{}: {message}", ISA.name), choices());
    let isa: Isa = name.to_string_lossy().parse().map_err(|error: cpu::UnknownIsa| refused(error.to_string()))?;
    if isa.available() { Ok(isa) } else { Err(refused(format!("this CPU has no {isa}"))) }
}

fn available() -> String {
    let names: Vec<String> = Isa::ALL.into_iter().filter(|isa| isa.available()).map(|isa| isa.to_string()).collect();
    names.join(" or ")
}
