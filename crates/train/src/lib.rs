//! The training loop: recipes, schedules, checkpoints, evaluation.
//!
//! [`run`] trains whatever net a `net::Executor` was prepared for and never learns which engine that is. A [`Recipe`] says
//! how, a [`RunDir`] keeps the run, [`checkpoint`] makes it resumable bit for bit, [`evaluate`] counts, and everything worth
//! knowing is an [`Event`]. Nothing is printed.

mod begin;
pub mod checkpoint;
mod error;
pub mod evaluate;
mod event;
mod initial;
mod memorise;
mod recipe;
mod run;
mod run_dir;
mod schedule;
mod session;
mod split;
mod transfer;
mod watch;

pub use checkpoint::{InitialisedFrom, Metrics};
pub use data::Stages;
pub use error::Error;
pub use evaluate::{EvaluateOptions, Evaluation};
pub use event::{BadImage, Evaluated, Event, Log, Silent, Started, Step, Time};
pub use initial::initial_params;
pub use memorise::{MemoriseOptions, Memorised, RISE, memorise, self_test};
pub use recipe::{
    BuiltIn, CheckpointPlan, EvaluationPlan, LayerRate, Part, RECIPES, Recipe, UpdateForm, recipe_for, without_dropout,
};
pub use run::{Inherited, Outcome, RunConfig, Start, Summary, run, statistics};
pub use run_dir::{RunDir, checkpoints, read_net, read_recipe};
pub use schedule::{
    Curve, Dexp, Plateau, PlateauState, Polynomial, Rates, Schedule, ScheduleState, Scheduler, Span, StepAt, To, Warmup,
};
pub use transfer::{Head, Trained, Transfer, head_of, transfer};
pub use watch::Watch;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
