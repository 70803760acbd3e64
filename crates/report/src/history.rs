//! What a resumed run knows of the processes before it: `events.jsonl`, read back.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use train::{Evaluated, Event, Step};

/// The event file's name in a run directory.
pub(crate) const EVENTS: &str = "events.jsonl";

/// The numbers that charts, tables and summaries are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Record {
    /// A training step.
    Step(StepRecord),
    /// An evaluation.
    Evaluated(EvaluatedRecord),
}

/// What is kept of a [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct StepRecord {
    pub(crate) step: u32,
    pub(crate) images: u32,
    #[serde(deserialize_with = "or_nan")]
    pub(crate) loss: f64,
    pub(crate) top1: u32,
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
}

/// What is kept of an [`Evaluated`].
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct EvaluatedRecord {
    pub(crate) step: u32,
    pub(crate) epochs: f64,
    pub(crate) top1_error: f64,
    pub(crate) top5_error: f64,
    #[serde(deserialize_with = "or_nan")]
    pub(crate) nll: f64,
    pub(crate) seconds: f64,
}

impl Record {
    /// The numbers of an event, if it has any.
    pub(crate) fn of(event: &Event) -> Option<Record> {
        match event {
            Event::Step(Step { step, images, loss, top1, rate, seconds, .. }) => Some(Record::Step(StepRecord {
                step: *step,
                images: *images,
                loss: *loss,
                top1: *top1,
                rate: *rate,
                seconds: *seconds,
            })),
            Event::Evaluated(Evaluated { step, epochs, top1_error, top5_error, nll, seconds, .. }) => {
                Some(Record::Evaluated(EvaluatedRecord {
                    step: *step,
                    epochs: *epochs,
                    top1_error: *top1_error,
                    top5_error: *top5_error,
                    nll: *nll,
                    seconds: *seconds,
                }))
            }
            _ => None,
        }
    }

    fn parse(kind: &str, line: &str) -> Option<Record> {
        match kind {
            "step" => serde_json::from_str(line).ok().map(Record::Step),
            "evaluated" => serde_json::from_str(line).ok().map(Record::Evaluated),
            _ => None,
        }
    }
}

/// JSON has no word for numbers that are not finite; they are written as null.
fn or_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A line of `events.jsonl` that a resumed run keeps.
pub(crate) struct Kept {
    /// The line, without its end.
    pub(crate) line: String,
    /// Its numbers, if it has any.
    pub(crate) record: Option<Record>,
}

/// The lines of `events.jsonl` in `run` that a run resumed at step `resumed_from` does not repeat. Lines that do not read,
/// as a killed process may leave one, are dropped; a file that is not there has no lines.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn read(run: &Path, resumed_from: u32) -> io::Result<Vec<Kept>> {
    let text = match fs::read(run.join(EVENTS)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(text.lines().filter_map(|line| keep(line, resumed_from)).collect())
}

fn keep(line: &str, resumed_from: u32) -> Option<Kept> {
    #[derive(Deserialize)]
    struct Head {
        event: String,
        step: Option<u32>,
    }
    let Head { event, step } = serde_json::from_str(line).ok()?;
    let superseded = match event.as_str() {
        // These have the number of a step that is taken again.
        "step" | "rate" => step.is_some_and(|step| step >= resumed_from),
        // The self-test's steps are not the run's.
        "memorising" => false,
        // The others tell how many steps had been taken: the checkpoint that the run resumes from knows of them.
        _ => step.is_some_and(|step| step > resumed_from),
    };
    (!superseded).then(|| Kept { line: line.into(), record: Record::parse(&event, line) })
}
