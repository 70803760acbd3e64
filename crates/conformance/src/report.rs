//! What a suite found.

use std::fmt;

use crate::compare::Mismatch;

/// What is wrong with an engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// A value is out of its bound.
    Value(Box<Mismatch>),
    /// A promise of [`net::Executor`] is broken.
    Contract(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Value(mismatch) => mismatch.fmt(f),
            Fault::Contract(message) => message.fmt(f),
        }
    }
}

impl From<net::Error> for Fault {
    fn from(error: net::Error) -> Fault {
        Fault::Contract(error.to_string())
    }
}

/// What one case found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Values compared with the oracle, or promises checked.
    pub checked: usize,
    /// The largest share of its bound that a value used, and the tensor that holds it.
    pub closest: (f64, String),
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Findings {
    /// Notes a comparison of `values` values.
    pub(crate) fn note(&mut self, tensor: &str, values: usize, result: Result<f64, Box<Mismatch>>) {
        self.checked += values;
        match result {
            Ok(share) if share > self.closest.0 => self.closest = (share, tensor.into()),
            Ok(_) => {}
            Err(mismatch) => self.faults.push(Fault::Value(mismatch)),
        }
    }

    /// Notes a promise that is kept where `holds`.
    pub(crate) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.faults.push(Fault::Contract(otherwise()));
        }
    }
}

/// A case that did not run, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// The case, or the beginning of the names of several.
    pub case: String,
    /// Why.
    pub reason: String,
}

/// What a suite found of one engine.
#[derive(Debug, Clone)]
pub struct Report {
    /// The engine and how it was prepared.
    pub subject: String,
    /// Every case that ran.
    pub cases: Vec<(String, Findings)>,
    /// Every case that did not.
    pub skipped: Vec<Skipped>,
}

impl Report {
    /// A report of `subject` in which nothing has run.
    pub fn new(subject: &str) -> Report {
        Report { subject: subject.into(), cases: Vec::new(), skipped: Vec::new() }
    }

    /// Adds what another suite found.
    pub fn merge(&mut self, other: Report) {
        self.cases.extend(other.cases);
        self.skipped.extend(other.skipped);
    }

    /// The faults found, each with the name of its case.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &Fault)> {
        self.cases.iter().flat_map(|(name, findings)| findings.faults.iter().map(move |fault| (name.as_str(), fault)))
    }

    /// The report as text, if all is well.
    ///
    /// # Errors
    /// The report as text where there is a fault, a case compared nothing, nothing ran at all, or there is a skip and
    /// `skips` are not allowed.
    pub fn verdict(&self, skips: bool) -> Result<String, String> {
        let idle = self.cases.is_empty() || self.cases.iter().any(|(_, findings)| findings.checked == 0);
        let well = self.faults().next().is_none() && !idle && (skips || self.skipped.is_empty());
        if well { Ok(self.to_string()) } else { Err(self.to_string()) }
    }
}

/// Faults that are printed of each case.
const MOST_FAULTS: usize = 4;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let failed = self.cases.iter().filter(|(_, findings)| !findings.faults.is_empty()).count();
        let checked: usize = self.cases.iter().map(|(_, findings)| findings.checked).sum();
        writeln!(
            f,
            "{}: {} cases passed, {failed} failed, {} skipped; {checked} values checked",
            self.subject,
            self.cases.len() - failed,
            self.skipped.len()
        )?;
        for (name, findings) in &self.cases {
            if findings.checked == 0 {
                writeln!(f, "  {name}: compared nothing")?;
            }
            for fault in findings.faults.iter().take(MOST_FAULTS) {
                writeln!(f, "  {name}: {fault}")?;
            }
            if findings.faults.len() > MOST_FAULTS {
                writeln!(f, "  {name}: and {} more", findings.faults.len() - MOST_FAULTS)?;
            }
        }
        for Skipped { case, reason } in &self.skipped {
            writeln!(f, "  skipped: {case}: {reason}")?;
        }
        if let Some((name, findings)) = self.cases.iter().max_by(|a, b| a.1.closest.0.total_cmp(&b.1.closest.0)) {
            let (share, tensor) = &findings.closest;
            writeln!(f, "  closest to its bound: {:.0} % of it, {tensor} in {name}", share * 100.0)?;
        }
        Ok(())
    }
}
