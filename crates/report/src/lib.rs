//! A run's events, for people and programs.
mod chart;
pub mod format;
