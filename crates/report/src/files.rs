//! The files of a run directory that grow with the run.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use train::{Event, Log};

use crate::Curves;
use crate::history::{self, EVENTS, EvaluatedRecord, Record, StepRecord};

/// All the files of a run directory: `events.jsonl`, `metrics.csv`, `curves.svg` and, where there are bad images,
/// `bad-images.txt`.
pub struct Files {
    jsonl: JsonLines,
    csv: Csv,
    curves: Curves,
    bad: BadImageList,
    told: usize,
}

impl Files {
    /// The files of the run directory `run`, which need not exist yet. Nothing is written before the first event.
    pub fn new(run: &Path) -> Files {
        Files { jsonl: JsonLines::new(run), csv: Csv::new(run), curves: Curves::new(run), bad: BadImageList::new(run), told: 0 }
    }

    /// What could not be written since the last call: one line a file, each told once.
    pub fn problems(&mut self) -> Vec<String> {
        let all = [&self.jsonl.problem, &self.csv.problem, self.curves.problem(), &self.bad.problem];
        let lines: Vec<String> = all.into_iter().flatten().cloned().collect();
        let new = lines.get(self.told..).unwrap_or_default().to_vec();
        self.told = lines.len();
        new
    }
}

impl Log for Files {
    fn record(&mut self, event: &Event) {
        self.jsonl.record(event);
        self.csv.record(event);
        self.curves.record(event);
        self.bad.record(event);
    }
}

/// `what` could not be written; kept as text, because the listener that failed stays silent from then on.
pub(crate) fn problem(path: &Path, error: &io::Error) -> Option<String> {
    Some(format!("`{}` is not written any more: {error}", path.display()))
}

/// Writes a file beside `path` and moves it there, so that a reader never sees half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    fs::write(&beside, content).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // The first error is the one that matters.
        let _ = fs::remove_file(&beside);
    })
}

/// `events.jsonl`: every event as one line of JSON, written at once. A resumed run continues it: what the steps that run
/// again had left there is removed first. Progress within an evaluation or a computation of statistics is left out.
pub struct JsonLines {
    path: PathBuf,
    file: Option<File>,
    /// Lines of the self-test, which comes before the run has started.
    early: Vec<u8>,
    problem: Option<String>,
}

impl JsonLines {
    /// The events of the run directory `run`.
    pub fn new(run: &Path) -> JsonLines {
        JsonLines { path: run.join(EVENTS), file: None, early: Vec::new(), problem: None }
    }

    fn open(&self, resumed_from: Option<u32>) -> io::Result<File> {
        let Some(step) = resumed_from else { return File::create(&self.path) };
        let run = self.path.parent().unwrap_or(Path::new(""));
        let kept: String = history::read(run, step)?.iter().map(|kept| format!("{}\n", kept.line)).collect();
        replace(&self.path, kept.as_bytes())?;
        File::options().append(true).open(&self.path)
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Started(started) = event {
            self.file = Some(self.open(started.resumed_from)?);
        }
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        match &mut self.file {
            None => self.early.extend(line),
            Some(file) => {
                line.append(&mut self.early);
                file.write_all(&line)?;
            }
        }
        Ok(())
    }
}

impl Log for JsonLines {
    fn record(&mut self, event: &Event) {
        if self.problem.is_none() && !matches!(event, Event::Statistics { .. } | Event::Evaluating { .. }) {
            self.problem = self.write(event).err().and_then(|error| problem(&self.path, &error));
        }
    }
}

/// `metrics.csv`: one row an evaluation, with the means of the training steps since the row before.
pub struct Csv {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    since: Since,
    problem: Option<String>,
}

/// Sums over the training steps since the last row.
#[derive(Default)]
struct Since {
    images: f64,
    nll: f64,
    errors: f64,
    seconds: f64,
    rate: f64,
}

const HEADER: &str = "step,epochs,rate,train_loss,train_top1_error,val_nll,val_top1_error,val_top5_error,images_per_s";

impl Csv {
    /// The metrics of the run directory `run`.
    pub fn new(run: &Path) -> Csv {
        Csv { path: run.join("metrics.csv"), file: None, since: Since::default(), problem: None }
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Started(started) = event {
            let mut file = BufWriter::new(File::create(&self.path)?);
            writeln!(file, "{HEADER}")?;
            self.file = Some(file);
            if let Some(step) = started.resumed_from {
                let run = self.path.parent().unwrap_or(Path::new(""));
                history::read(run, step)?.iter().filter_map(|kept| kept.record).try_for_each(|record| self.take(record))?;
            }
        }
        Record::of(event).map_or(Ok(()), |record| self.take(record))
    }

    fn take(&mut self, record: Record) -> io::Result<()> {
        match record {
            Record::Step(step) => self.since.add(&step),
            Record::Evaluated(evaluated) => {
                let row = self.since.row(&evaluated);
                self.since = Since::default();
                if let Some(file) = &mut self.file {
                    writeln!(file, "{row}")?;
                    file.flush()?;
                }
            }
        }
        Ok(())
    }
}

impl Since {
    fn add(&mut self, step: &StepRecord) {
        let images = f64::from(step.images);
        self.images += images;
        self.nll += step.loss * images;
        self.errors += images - f64::from(step.top1);
        self.seconds += step.seconds;
        self.rate = step.rate;
    }

    /// Empty fields where there were no steps.
    fn row(&self, evaluated: &EvaluatedRecord) -> String {
        let mean = |sum: f64, n: f64| if n > 0.0 { format!("{:.6}", sum / n) } else { String::new() };
        let EvaluatedRecord { step, epochs, top1_error, top5_error, nll, .. } = evaluated;
        let rate = if self.images > 0.0 { self.rate.to_string() } else { String::new() };
        let (loss, errors) = (mean(self.nll, self.images), mean(self.errors, self.images));
        let per_s = if self.seconds > 0.0 { format!("{:.1}", self.images / self.seconds) } else { String::new() };
        format!("{step},{epochs:.4},{rate},{loss},{errors},{nll:.6},{top1_error:.6},{top5_error:.6},{per_s}")
    }
}

impl Log for Csv {
    fn record(&mut self, event: &Event) {
        if self.problem.is_none() {
            self.problem = self.write(event).err().and_then(|error| problem(&self.path, &error));
        }
    }
}

/// `bad-images.txt`: the path of each image that could not be used, and why. Not there where all could.
pub struct BadImageList {
    path: PathBuf,
    splits: Vec<(&'static str, String)>,
    problem: Option<String>,
}

impl BadImageList {
    /// The list of the run directory `run`.
    pub fn new(run: &Path) -> BadImageList {
        BadImageList { path: run.join("bad-images.txt"), splits: Vec::new(), problem: None }
    }
}

impl Log for BadImageList {
    fn record(&mut self, event: &Event) {
        let Event::BadImages { split, images } = event else { return };
        let lines = images.iter().map(|image| format!("{}\t{}\n", image.name, image.reason)).collect();
        self.splits.retain(|(name, _)| name != split);
        self.splits.push((split, lines));
        let all: String = self.splits.iter().map(|(_, lines)| lines.as_str()).collect();
        if self.problem.is_none() {
            self.problem = replace(&self.path, all.as_bytes()).err().and_then(|error| problem(&self.path, &error));
        }
    }
}
