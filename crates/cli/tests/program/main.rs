//! The binary as a user runs it.

mod archives;
mod bad_images;
mod bad_texts;
mod bench;
mod check;
mod checkpoints;
mod commands;
mod convert;
mod doctor;
mod features;
mod fine_tuning;
mod gpu_check;
mod interrupt;
#[cfg(target_os = "linux")]
mod memory;
mod packs;
mod support;
#[path = "../../../data/tests/tars/mod.rs"]
mod tars;
