//! A run's events, for people and for programs: lines on the console, and files in the run directory.
//!
//! Everything here listens to a run as a [`train::Log`]. A file that cannot be written never stops a run: the listener
//! goes silent and keeps the reason, see [`Files::problems`].

mod chart;
mod console;
mod curves;
mod files;
pub mod format;
mod history;
mod meter;

pub use console::{Console, Style};
pub use curves::Curves;
pub use files::{BadImageList, Csv, Files, JsonLines};
