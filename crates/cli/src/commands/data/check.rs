//! `alexnet data check`: decodes every image and says what is wrong or unusual.

use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use data::check::{self, ClassFinding, Finding, Kind, Report};
use data::{Dataset, Quarantine, quarantine_line};
use report::format;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::dataset::{self, Reading};
use crate::failure::{Failure, Result};
use crate::{Common, interrupt, outputs, terminal, training};

/// Decode every image of a data set, and say what is wrong or unusual
#[derive(Args)]
#[command(after_help = "\
Faults make training fail, or teach something false; the exit code is 1 where
there are some:
  duplicate-other-label, unreadable, undecodable, truncated
Remarks are worth knowing:
  duplicate-across-splits, duplicate, near-empty, cmyk, misnamed, grey, rotated,
  tiny (shorter side below 32), huge (above 25 million pixels),
  extreme-aspect (above 10)

Examples:
  alexnet data check photos
  alexnet data check photos --quarantine bad.txt
  alexnet train --data photos --quarantine bad.txt    without the faulty ones
  alexnet data check photos --quarantine bad.txt --also duplicate-across-splits,tiny
  alexnet data check photos --without bad.txt         what is still wrong then
  alexnet data check photos --json -")]
pub(crate) struct Check {
    /// The data set
    path: PathBuf,
    /// Write the list of faulty images to this file, for the option of the same name of train, evaluate and others
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Kinds of remarks whose images go on that list too
    #[arg(long, value_name = "KIND", value_delimiter = ',', num_args = 1.., requires = "quarantine")]
    also: Vec<Kind>,
    /// Leave out the images that this list names; a list that is written keeps them
    #[arg(long, value_name = "FILE")]
    without: Option<PathBuf>,
    /// Write the whole report as JSON to this file; with - to standard output, instead of the tables
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Share of each class held out for validation where the data set has no val folder [default: 0.1]
    #[arg(long, value_name = "F", value_parser = dataset::fraction)]
    val_fraction: Option<f64>,
    /// Ignore the orientation that cameras note in their files
    #[arg(long)]
    no_exif_rotation: bool,
}

impl Check {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let outputs = [self.quarantine.as_deref(), self.json_file()];
        outputs.into_iter().flatten().try_for_each(outputs::check_place)?;
        let earlier = self.without.as_deref().map(Quarantine::read).transpose()?;
        let reading = Reading::of_check(self.val_fraction, self.no_exif_rotation, self.without.clone());
        let dataset = reading.open(Some(&self.path))?;
        let threads = dataset::workers(common);
        let began = Instant::now();
        let report = look(&dataset, threads, common)?;
        let checked = Checked { dataset: &dataset, root: &self.path, report: &report, took: began.elapsed(), threads };
        if self.json.as_deref() == Some(Path::new("-")) {
            terminal::print(&(checked.json()? + "\n"))?;
        } else {
            terminal::print(&checked.text())?;
        }
        if let Some(path) = self.json_file() {
            let text = checked.json()?;
            weights::replace(path, |file| writeln!(file, "{text}"))?;
        }
        if let Some(path) = &self.quarantine {
            let list = checked.quarantine(&self.also, earlier.as_ref());
            weights::replace(path, |file| file.write_all(list.as_bytes()))?;
        }
        self.judge(&checked)
    }

    /// Where JSON goes, unless to standard output.
    fn json_file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// Faults are a failure.
    fn judge(&self, checked: &Checked<'_>) -> Result<()> {
        let (images, classes) = (checked.report.faulty_images(), checked.report.faulty_classes());
        if images + classes == 0 {
            return Ok(());
        }
        let faulty =
            [(images, "faulty image", "faulty images"), (classes, "class without good images", "classes without good images")];
        let faulty = faulty.into_iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| format::of(n, one, many));
        let message = format!("{} in {}", faulty.collect::<Vec<_>>().join(" and "), self.path.display());
        let hint = match &self.quarantine {
            _ if classes > 0 => "put good images into these classes, or remove the classes".to_string(),
            Some(list) => {
                let [data, list] = [&self.path, list].map(|path| training::quoted(path));
                format!("`alexnet train --data {data} --quarantine {list}` goes on without them")
            }
            None => "`--quarantine FILE` writes a list of them, with which `alexnet train --quarantine FILE` goes on".into(),
        };
        Err(Failure::failed(message, hint))
    }
}

/// Looks at every image, and says how far it is.
fn look(dataset: &Dataset, threads: usize, common: &Common) -> Result<Report> {
    let mut console = terminal::progress(common.quiet);
    let stop = interrupt::flag("nothing has been written")?;
    let began = Instant::now();
    let report = check::run(dataset, threads, &mut |done, total| {
        let images_per_s = done as f64 / began.elapsed().as_secs_f64();
        console.progress(&[
            format!("checking: {} of {}", format::count(done as u64), format::of(total as u64, "image", "images")),
            format!("{} images/s", format::rate(images_per_s)),
            format::left((total - done) as f64, images_per_s),
        ]);
        if stop.load(Ordering::Relaxed) { Break(()) } else { Continue(()) }
    });
    console.clear();
    match report {
        Err(data::Error::Stopped { .. }) => Err(Failure::interrupted()),
        report => Ok(report?),
    }
}

/// Examples of each kind in the table.
const SHOWN: usize = 3;

/// A report, and what it is about.
struct Checked<'a> {
    dataset: &'a Dataset,
    root: &'a Path,
    report: &'a Report,
    took: Duration,
    threads: usize,
}

impl Checked<'_> {
    fn name(&self, finding: &Finding) -> String {
        finding.name(self.dataset, Some(self.root))
    }

    fn detail(&self, finding: &Finding) -> String {
        finding.text(self.dataset, Some(self.root))
    }

    fn images(&self) -> u64 {
        self.report.train + self.report.val
    }

    fn images_per_s(&self) -> f64 {
        self.images() as f64 / self.took.as_secs_f64()
    }

    fn text(&self) -> String {
        let Report { train, val, bytes, formats, findings, classes, .. } = self.report;
        let mut text = format!(
            "{}: {}, {} training and {} validation images, {:.1} MB\n",
            self.dataset.name,
            format::of(self.dataset.classes.len() as u64, "class", "classes"),
            format::count(*train),
            format::count(*val),
            *bytes as f64 / 1e6,
        );
        self.dataset.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
        for (heading, is_fault) in [("faults", true), ("remarks", false)] {
            let kinds: String = Kind::all().filter(|kind| kind.is_fault() == is_fault).map(|kind| self.kind(kind)).collect();
            let classes: String = ClassFinding::NAMES.iter().map(|name| self.class_kind(name, is_fault)).collect();
            if !(kinds.is_empty() && classes.is_empty()) {
                text += &format!("\n{heading}\n{kinds}{classes}");
            }
        }
        if findings.is_empty() && classes.is_empty() {
            text += "\nnothing was found\n";
        }
        let formats: Vec<String> = formats.iter().map(|(name, images)| format!("{name} {}", format::count(*images))).collect();
        let sides = self
            .report
            .sides()
            .map_or("–".into(), |[min, median, max]| format!("{min} at least, {median} in the median, {max} at most"));
        let speed = format!("{}, {} images/s", format::duration(self.took), format::rate(self.images_per_s()));
        let rows = [("formats", formats.join(", ")), ("shorter side", sides), ("took", speed)];
        text + "\n" + &format::table(&rows.map(|(name, value)| vec![name.to_string(), value]), &[])
    }

    /// A kind with its count and some examples; empty where there is none.
    fn kind(&self, kind: Kind) -> String {
        let findings = self.report.of_kind(kind);
        if findings.is_empty() {
            return String::new();
        }
        let mut text = format!("  {kind}: {}; {}\n", format::of(findings.len() as u64, "image", "images"), kind.training());
        if let Some((found, known)) = self.report.known(kind, self.dataset) {
            text += &format!("      {found} of {known} known in ILSVRC2012\n");
        }
        for finding in findings.iter().take(SHOWN) {
            text += &format!("      {}: {}\n", self.name(finding), self.detail(finding));
        }
        if findings.len() > SHOWN {
            text += &format!("      and {} more\n", format::count((findings.len() - SHOWN) as u64));
        }
        text
    }

    /// The same for a kind of finding about classes.
    fn class_kind(&self, name: &str, is_fault: bool) -> String {
        let all = self.report.classes.iter().filter(|finding| finding.name() == name && finding.is_fault() == is_fault);
        let mut texts: Vec<String> = all.map(|finding| finding.text(&self.dataset.classes)).collect();
        let more = texts.len().saturating_sub(SHOWN) as u64;
        texts.truncate(SHOWN);
        if more > 0 {
            texts.push(format!("and {}", format::of(more, "more class", "more classes")));
        }
        if texts.is_empty() { String::new() } else { format!("  {name}: {}\n", texts.join("; ")) }
    }

    fn json(&self) -> Result<String> {
        let Report { train, val, decoded, bytes, formats, .. } = self.report;
        let kinds: Vec<_> = Kind::all()
            .map(|kind| {
                let known = self.report.known(kind, self.dataset).map(|(found, of)| json!({ "found": found, "of": of }));
                json!({
                    "kind": kind.name(), "fault": kind.is_fault(), "images": self.report.of_kind(kind).len(),
                    "training": kind.training(), "known_in_ilsvrc2012": known,
                })
            })
            .collect();
        let classes: Vec<_> = (self.report.classes.iter())
            .map(|finding| {
                json!({ "kind": finding.name(), "fault": finding.is_fault(), "detail": finding.text(&self.dataset.classes) })
            })
            .collect();
        let side = self.report.sides().map(|[min, median, max]| json!({ "min": min, "median": median, "max": max }));
        let head = json!({
            "data": self.dataset.name, "classes": self.dataset.classes.len(), "images": { "train": train, "val": val },
            "decoded": decoded, "bytes": bytes, "threads": self.threads,
            "seconds": self.took.as_secs_f64(), "images_per_s": self.images_per_s(),
            "formats": formats, "shorter_side": side,
            "faulty_images": self.report.faulty_images(), "faulty_classes": self.report.faulty_classes(),
            "kinds": kinds, "class_findings": classes, "notes": self.dataset.notes,
        });
        Ok(serde_json::to_string(&Whole { head, findings: Findings(self) })?)
    }

    /// The list of images with faults or of the kinds in `also`, and of those on `earlier`.
    fn quarantine(&self, also: &[Kind], earlier: Option<&Quarantine>) -> String {
        let one_line = |text: String| text.replace(['\n', '\r'], " ");
        let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in earlier.iter().flat_map(|list| list.names()) {
            listed.entry(name.into()).or_default().push("listed before".into());
        }
        for finding in self.report.findings.iter().filter(|f| f.kind.is_fault() || also.contains(&f.kind)) {
            let reason = one_line(format!("{}: {}", finding.kind, self.detail(finding)));
            listed.entry(self.name(finding)).or_default().push(reason);
        }
        let images = format::of(listed.len() as u64, "image", "images");
        let mut text = one_line(format!("# {images} of {} to leave out, by `alexnet data check`", self.dataset.name)) + "\n";
        for (name, reasons) in listed {
            reasons.iter().for_each(|reason| text += &format!("# {reason}\n"));
            text += &(quarantine_line(&name) + "\n");
        }
        text
    }
}

/// The report's JSON; findings are written one by one, however many there are.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    head: serde_json::Value,
    findings: Findings<'a>,
}

struct Findings<'a>(&'a Checked<'a>);

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Findings(checked) = self;
        serializer.collect_seq(checked.report.findings.iter().map(|finding| {
            json!({
                "kind": finding.kind.name(), "fault": finding.kind.is_fault(), "image": checked.name(finding),
                "split": finding.place.split, "class": finding.class(checked.dataset), "detail": checked.detail(finding),
                "known_in_ilsvrc2012": finding.is_known(checked.dataset),
            })
        }))
    }
}
