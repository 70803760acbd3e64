//! A run as a person follows it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use train::{Evaluated, Event, Log, Started, Step, Time};

use crate::format;
use crate::history::{self, EvaluatedRecord, Record};
use crate::meter::Meter;

/// How much a console says, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One line that is drawn again and again, below the lines that stay.
    Live,
    /// Lines that stay: one an epoch or evaluation, and progress after each such time.
    Plain {
        /// The least time between two lines of progress.
        every: Duration,
    },
    /// Nothing but warnings.
    Quiet,
}

impl Style {
    /// What suits standard output: [`Style::Live`] on a terminal, else plain lines every ten seconds.
    pub fn of_stdout() -> Style {
        if io::stdout().is_terminal() { Style::Live } else { Style::Plain { every: Duration::from_secs(10) } }
    }
}

/// A live line is drawn at most this often.
const LIVE_EVERY: Duration = Duration::from_millis(100);
/// How many bad images are shown by path; all of them stand in `bad-images.txt`.
const BAD_SHOWN: usize = 10;
/// With a mark behind them, rows fill the 80 columns of a terminal.
const COLUMNS: [(&str, usize); 8] = [
    ("epoch", 5),
    ("rate", 8),
    ("loss", 9),
    ("top-1 err", 11),
    ("loss", 9),
    ("top-1 err", 11),
    ("top-5 err", 11),
    ("images/s", 10),
];
/// Above the columns: what the losses and errors are of.
const GROUPS: [(&str, usize); 3] = [("", 13), ("training", 20), ("validation", 31)];

/// Lines on the console; warnings go to `err`, everything else to `out`. A console that nobody reads any more falls silent.
pub struct Console {
    style: Style,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    started: Option<Started>,
    meter: Meter,
    /// The row of an epoch that is complete, until it is known whether an evaluation follows.
    pending: Option<Step>,
    last_step: Option<Step>,
    last: Option<EvaluatedRecord>,
    best: Option<EvaluatedRecord>,
    headed: bool,
    live: bool,
    drawn: Option<Instant>,
    /// What held the run up when that was last said, and what is to be said below the next row.
    bound: &'static str,
    time: Option<String>,
}

impl Console {
    /// A console on standard output and standard error.
    pub fn new(style: Style) -> Console {
        Console::with_outputs(style, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// A console on other outputs.
    pub fn with_outputs(style: Style, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Console {
        Console {
            style,
            out,
            err,
            started: None,
            meter: Meter::default(),
            pending: None,
            last_step: None,
            last: None,
            best: None,
            headed: false,
            live: false,
            drawn: None,
            bound: "",
            time: None,
        }
    }

    /// Prints a line that stays, unless quiet.
    pub fn say(&mut self, text: &str) {
        if self.style != Style::Quiet {
            self.clear();
            put(&mut self.out, &format!("{text}\n"));
        }
    }

    /// Prints a warning, also when quiet.
    pub fn warn(&mut self, text: &str) {
        self.clear();
        put(&mut self.err, &format!("warning: {}\n", text.trim_end().replace('\n', "\n         ")));
    }

    /// Shows progress: on the live line, or as a line of its own if the last one is old enough.
    pub fn progress(&mut self, segments: &[String]) {
        let (every, live) = match self.style {
            Style::Live => (LIVE_EVERY, true),
            Style::Plain { every } => (every, false),
            Style::Quiet => return,
        };
        let now = Instant::now();
        if self.drawn.is_some_and(|drawn| now.duration_since(drawn) < every) {
            return;
        }
        // The first progress of a plain console waits for its turn as well: short runs need none.
        if !live && self.drawn.is_none() {
            self.drawn = Some(now);
            return;
        }
        self.drawn = Some(now);
        if live {
            put(&mut self.out, &format!("\r\x1b[2K{}", fit(segments, terminal_columns())));
            self.live = true;
        } else {
            put(&mut self.out, &format!("  {}\n", segments.join("  ")));
        }
    }

    /// Takes the live line away; what is printed next begins at the left.
    pub fn clear(&mut self) {
        if self.live {
            put(&mut self.out, "\r\x1b[2K");
            self.live = false;
            self.drawn = None;
        }
    }

    fn start(&mut self, started: &Started) {
        if let Some(step) = started.resumed_from {
            let epoch = step / started.steps_per_epoch.max(1) + 1;
            self.say(&format!(
                "going on from step {} of {}, in epoch {epoch}",
                format::count(step.into()),
                format::count(started.steps.into())
            ));
            let records = history::read(&started.run, step).unwrap_or_default();
            for record in records.into_iter().filter_map(|kept| kept.record) {
                if let Record::Evaluated(evaluated) = record {
                    self.remember(evaluated);
                }
            }
        }
        self.started = Some(started.clone());
    }

    fn remember(&mut self, evaluated: EvaluatedRecord) {
        self.last = Some(evaluated);
        if self.best.is_none_or(|best| evaluated.top1_error < best.top1_error) {
            self.best = Some(evaluated);
        }
    }

    fn step(&mut self, step: &Step) {
        self.meter.step(step);
        let Some(started) = &self.started else { return };
        let left = started.steps.saturating_sub(step.step + 1);
        let time_left = self.meter.time_left(left).map_or_else(|| "–".into(), format::duration);
        let recent = &self.meter.recent;
        let segments = [
            format!("epoch {}/{}", step.epoch + 1, started.steps.div_ceil(started.steps_per_epoch.max(1))),
            format!("step {}/{}", format::count(u64::from(step.step) + 1), format::count(started.steps.into())),
            format!("loss {:.4}", recent.loss()),
            format!("top-1 error {:.1} %", recent.error_percent()),
            format!("{} images/s", format::rate(recent.images_per_s())),
            format!("{time_left} left"),
            format!("waiting for data {:.0} %", recent.wait_percent()),
        ];
        let epoch_ends = step.batch + 1 == started.steps_per_epoch;
        self.progress(&segments);
        self.last_step = Some(step.clone());
        if epoch_ends {
            self.pending = Some(step.clone());
        }
    }

    /// A row of the table: the epoch so far, and an evaluation.
    fn row(&mut self, step: Option<&Step>, evaluated: Option<&Evaluated>) {
        if !self.headed {
            self.headed = true;
            for heading in [&GROUPS[..], &COLUMNS] {
                self.say(&heading.iter().map(|(name, width)| format!("{name:>width$}")).collect::<String>());
            }
        }
        let steps_per_epoch = self.started.as_ref().map_or(1, |started| started.steps_per_epoch.max(1));
        let epochs = evaluated.map(|e| e.epochs).or(step.map(|s| f64::from(s.step + 1) / f64::from(steps_per_epoch)));
        let cells = [
            epochs.map(|e| if e.fract() == 0.0 { format!("{e}") } else { format!("{e:.2}") }),
            step.map(|s| short(s.rate)),
            step.map(|s| format!("{:.4}", s.epoch_loss)),
            step.map(|s| format::share(s.epoch_top1_error)),
            evaluated.map(|e| format!("{:.4}", e.nll)),
            evaluated.map(|e| format::share(e.top1_error)),
            evaluated.map(|e| format::share(e.top5_error)),
            step.map(|_| format::rate(self.meter.recent.images_per_s())),
        ];
        let columns = COLUMNS.iter().zip(cells);
        let mut line: String =
            columns.map(|((_, width), cell)| format!("{:>width$}", cell.unwrap_or_else(|| "–".into()))).collect();
        if evaluated.is_some_and(|e| e.best) {
            line += "  best";
        }
        self.say(&line);
        if let Some(time) = self.time.take() {
            self.say(&time);
        }
    }

    /// Prints the row of an epoch after which there was no evaluation.
    fn settle(&mut self) {
        if let Some(step) = self.pending.take() {
            self.row(Some(&step), None);
        }
    }

    fn bad_images(&mut self, split: &str, images: &[train::BadImage]) {
        let shown = images.iter().take(BAD_SHOWN).map(|image| format!("\n{}: {}", image.name, image.reason));
        let more = images.len().saturating_sub(BAD_SHOWN);
        let rest = if more > 0 {
            format!("\nand {} more, all in bad-images.txt of the run", format::count(more as u64))
        } else {
            String::new()
        };
        let count = format::of(images.len() as u64, "image", "images");
        self.warn(&format!("{count} of `{split}` cannot be used:{}{rest}", shown.collect::<String>()));
    }

    /// What the run came to, as a table; empty before the first event.
    pub fn summary(&self, took: Duration) -> String {
        let Some(started) = &self.started else { return String::new() };
        let done = self.last_step.as_ref().map_or(started.resumed_from.unwrap_or(0), |step| step.step + 1);
        let epochs = f64::from(done) / f64::from(started.steps_per_epoch.max(1));
        let mut rows = vec![vec![String::new(), "epochs".into(), "top-1 error".into(), "top-5 error".into(), "NLL".into()]];
        for (name, evaluated) in [("final", self.last), ("best", self.best)] {
            if let Some(e) = evaluated {
                rows.push(vec![
                    name.into(),
                    format!("{:.2}", e.epochs),
                    format::share(e.top1_error),
                    format::share(e.top5_error),
                    format!("{:.4}", e.nll),
                ]);
            }
        }
        let speed = match self.last_step {
            Some(_) => format!(", {} images/s in training", format::rate(self.meter.total.images_per_s())),
            None => String::new(),
        };
        let took = format::duration(took);
        let table = if rows.len() > 1 { format::table(&rows, &[1, 2, 3, 4]) } else { String::new() };
        format!("{table}{epochs:.2} epochs, {} steps, {took}{speed}\n", format::count(done.into()))
    }
}

impl Log for Console {
    fn record(&mut self, event: &Event) {
        if !matches!(event, Event::Evaluated(_) | Event::Evaluating { .. } | Event::Time(_)) {
            self.settle();
        }
        match event {
            Event::Started(started) => self.start(started),
            Event::Note { text } => self.say(&format!("note: {text}")),
            Event::Statistics { done, total } => {
                self.progress(&[format!(
                    "mean image and colours: {} of {}",
                    format::count(*done),
                    format::of(*total, "image", "images")
                )]);
            }
            Event::Memorising { step, loss } => {
                self.progress(&[format!("self-test, memorising one batch: step {}, loss {loss:.4}", step + 1)]);
            }
            Event::Memorised { steps, loss } => {
                self.say(&format!(
                    "self-test: one batch memorised in {} to loss {loss:.4}",
                    format::of(u64::from(*steps), "step", "steps")
                ));
            }
            Event::Step(step) => self.step(step),
            // Said once, and again when it is no longer so.
            Event::Time(time) if time.bound() != self.bound => {
                self.bound = time.bound();
                self.time = Some(held_up(time));
            }
            Event::Evaluating { done, total, .. } => {
                self.progress(&[format!("evaluating: {} of {}", format::count(*done), format::of(*total, "image", "images"))]);
            }
            Event::Evaluated(evaluated) => {
                self.meter.evaluation(evaluated.seconds);
                if let Some(Record::Evaluated(record)) = Record::of(event) {
                    self.remember(record);
                }
                let step = self.pending.take().or_else(|| self.last_step.clone());
                self.row(step.as_ref(), Some(evaluated));
            }
            Event::Warning { text, .. } => self.warn(text),
            Event::BadImages { split, images } => self.bad_images(split, images),
            Event::Interrupted { .. } | Event::Finished { .. } => self.clear(),
            _ => {}
        }
    }
}

/// What holds a run up, in a sentence.
fn held_up(time: &Time) -> String {
    let threads = format::of(time.loader.threads as u64, "loader thread", "loader threads");
    let (loader, engine) = (format::rate(time.loader.images_per_s()), format::rate(time.engine_images_per_s()));
    match time.bound() {
        "engine" => format!("  engine-bound: {threads} can give {loader} images/s, the engine takes {engine}"),
        stage => {
            let waits = 100.0 * time.waiting();
            format!(
                "  {stage}-bound: {threads} give {loader} images/s, the engine takes {engine}: it waits {waits:.0} % of the time"
            )
        }
    }
}

/// A console whose reader is gone has nobody to tell.
fn put(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// As many of the segments as fit on one line.
fn fit(segments: &[String], columns: usize) -> String {
    let mut line = String::new();
    for segment in segments {
        let gap = if line.is_empty() { "" } else { "  " };
        // A terminal that has been filled to its last column begins a new line.
        if line.chars().count() + gap.len() + segment.chars().count() >= columns {
            break;
        }
        line += gap;
        line += segment;
    }
    line
}

fn terminal_columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}

/// A rate in few digits: `0.01`, `0.00158`, `1e-6`.
fn short(rate: f64) -> String {
    if rate == 0.0 || (1e-4..1e4).contains(&rate) {
        let digits = format!("{rate:.5}");
        digits.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        format!("{rate:.2e}")
    }
}
