//! The suite that every engine passes: cases, tolerances, goldens.
//!
//! A [`Subject`] is an engine under test. [`ops`], [`nets`], [`contract`] and [`training`] run it beside the oracle and
//! give a [`Report`]; [`trial`] does so with any net. Every value is compared within a bound derived from the operations
//! behind it: see [`bound`].

pub mod bound;
mod cases;
mod compare;
mod follow;
pub mod golden;
pub mod inputs;
mod report;
mod subject;

pub use bound::{LayerTiles, Tiles};
pub use cases::contract::contract;
pub use cases::nets::{Trial, nets, same_bits, trial, trial_same_bits};
pub use cases::ops::{OPS, ops};
pub use cases::training::training;
pub use compare::{Mismatch, What, compare, ulps};
pub use report::{Fault, Findings, Report, Skipped};
pub use subject::{Keep, Prepare, Subject, TilesOf, no_tiles};
