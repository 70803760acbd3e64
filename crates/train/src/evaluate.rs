//! Top-1, top-5 and likelihood over exactly the images there are.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data::{BadImage, BadImages, EvalLoader, LoaderOptions, Pipeline, Source, Views};
use net::Executor;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::split::Splitter;

/// A sum of whole and fractional points, exact for any order of adding: an image whose label ties with others earns part
/// of a point, and the parts are kept apart by their denominators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// Whole points.
    pub whole: u64,
    /// Sum of numerators for each denominator above 1. Empty where no image tied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<u32, u64>,
}

impl Credit {
    /// Adds `numerator / denominator` points, at most one.
    fn add(&mut self, numerator: u32, denominator: u32) {
        match numerator {
            0 => {}
            n if n >= denominator => self.whole += 1,
            n => *self.parts.entry(denominator).or_default() += u64::from(n),
        }
    }

    /// The sum as a number; the same bits for equal sums.
    pub fn points(&self) -> f64 {
        self.whole as f64 + self.parts.iter().map(|(&denominator, &n)| n as f64 / f64::from(denominator)).sum::<f64>()
    }
}

/// How one class fared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassCount {
    /// Images with this label.
    pub images: u64,
    /// Points for the most probable class.
    pub top1: Credit,
    /// Points for the five most probable classes.
    pub top5: Credit,
}

/// Integer counts over the images of a split. The same for every batch size as long as the executor's probabilities are.
///
/// A label earns `(k − larger) / equal` points within `[0, 1]` among the k most probable classes, where `larger` classes
/// are more probable than it and `equal` as probable, itself included: cuda-convnet's rule for ties (layer_kernels.cu).
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Views an image, whose probabilities are averaged before anything is counted.
    pub views: usize,
    /// Images evaluated.
    pub images: u64,
    /// Points for the most probable class.
    pub top1: Credit,
    /// Points for the five most probable classes.
    pub top5: Credit,
    /// Sum of −ln of the label's averaged probability, taken as at least 2⁻¹²⁶, in the order of the images.
    pub nll_sum: f64,
    /// For each class.
    pub classes: Vec<ClassCount>,
    /// Images by label and most probable class (the lowest of equals), `[classes, classes]`.
    pub confusion: Vec<u64>,
    /// Images that could not be used and are not counted.
    pub bad: Vec<BadImage>,
}

impl Evaluation {
    /// Counts of no image.
    pub fn new(classes: usize, views: usize) -> Evaluation {
        Evaluation {
            views,
            images: 0,
            top1: Credit::default(),
            top5: Credit::default(),
            nll_sum: 0.0,
            classes: vec![ClassCount::default(); classes],
            confusion: vec![0; classes * classes],
            bad: Vec::new(),
        }
    }

    /// Counts one image by its averaged probabilities, `[classes]`. A label whose probability is not a number earns nothing.
    pub fn count(&mut self, probabilities: &[f64], label: u32) {
        let p = probabilities[label as usize];
        let larger = probabilities.iter().filter(|&&other| other > p).count() as u32;
        let equal = probabilities.iter().filter(|&&other| other == p).count() as u32;
        let class = &mut self.classes[label as usize];
        self.images += 1;
        class.images += 1;
        for (k, total, of_class) in [(1, &mut self.top1, &mut class.top1), (5, &mut self.top5, &mut class.top5)] {
            let slots = if equal == 0 { 0 } else { u32::saturating_sub(k, larger) };
            total.add(slots, equal);
            of_class.add(slots, equal);
        }
        self.nll_sum -= if p.is_nan() { p } else { p.max(f64::from(f32::MIN_POSITIVE)).ln() };
        let mut predicted = 0;
        for (class, probability) in probabilities.iter().enumerate() {
            if *probability > probabilities[predicted] {
                predicted = class;
            }
        }
        self.confusion[label as usize * probabilities.len() + predicted] += 1;
    }

    /// Share of images whose label is not the most probable class, in `[0, 1]`.
    pub fn top1_error(&self) -> f64 {
        error_share(&self.top1, self.images)
    }

    /// Share of images whose label is not among the five most probable classes, in `[0, 1]`.
    pub fn top5_error(&self) -> f64 {
        error_share(&self.top5, self.images)
    }

    /// Mean of −ln of the label's probability.
    pub fn nll(&self) -> f64 {
        self.nll_sum / self.images.max(1) as f64
    }

    /// A row for each class: images, points and errors; and what it is called in words, where there are any.
    pub fn per_class_csv(&self, names: &[String], words: &[String]) -> String {
        let mut text = String::from("class,images,top1_correct,top5_correct,top1_error,top5_error");
        text += if words.is_empty() { "\n" } else { ",words\n" };
        for (number, (name, class)) in names.iter().zip(&self.classes).enumerate() {
            let (top1, top5) = (error_share(&class.top1, class.images), error_share(&class.top5, class.images));
            let (right1, right5) = (class.top1.points(), class.top5.points());
            // Writing to a string cannot fail.
            let _ = write!(text, "{},{},{right1},{right5},{top1},{top5}", csv_field(name), class.images);
            if let Some(words) = words.get(number) {
                let _ = write!(text, ",{}", csv_field(words));
            }
            text.push('\n');
        }
        text
    }

    /// A row for each label, a column for each predicted class, counting images.
    pub fn confusion_csv(&self, names: &[String]) -> String {
        let mut text = String::from("label \\ predicted");
        for name in names {
            text.push(',');
            text += &csv_field(name);
        }
        for (name, row) in names.iter().zip(self.confusion.chunks(self.classes.len().max(1))) {
            text.push('\n');
            text += &csv_field(name);
            for count in row {
                let _ = write!(text, ",{count}");
            }
        }
        text.push('\n');
        text
    }
}

fn error_share(credit: &Credit, images: u64) -> f64 {
    if images == 0 { 0.0 } else { (images as f64 - credit.points()) / images as f64 }
}

/// A field of a CSV file, quoted where it must be (RFC 4180).
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

/// How to evaluate.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// Views an image.
    pub views: Views,
    /// Loader threads.
    pub threads: usize,
    /// What to do about images that cannot be used.
    pub bad: BadImages,
}

/// Evaluates every image of `source` with the executor's weights. `None` where `stop` became true before the end.
///
/// # Errors
/// The data's or the executor's.
pub fn evaluate(
    exec: &mut dyn Executor,
    source: &Arc<dyn Source>,
    pipeline: &Arc<Pipeline>,
    options: &EvaluateOptions,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Evaluation>> {
    let (classes, views, total) = (exec.net().classes(), options.views.count(), source.len() as u64);
    let batch = (exec.capacity() / views).max(1) * views;
    let loading = LoaderOptions { batch, threads: options.threads, slots: 3, seed: 0, bad: options.bad };
    let pipeline = match exec.takes_bytes() && !pipeline.takes_bytes() {
        true => Arc::new(Pipeline::clone(pipeline).for_bytes(true)),
        false => Arc::clone(pipeline),
    };
    let mut loader = EvalLoader::start(Arc::clone(source), pipeline, options.views, loading);
    let mut splitter = Splitter::new(exec.capacity(), exec.net().input().len());
    let mut evaluation = Evaluation::new(classes, views);
    let mut rows = vec![0.0f32; batch * classes]; // [n, classes]
    let mut mean = vec![0.0f64; classes];
    while let Some(loaded) = loader.next()? {
        splitter.each(&loaded.batch, |piece, first| {
            let probabilities = exec.forward(piece)?;
            rows[first * classes..][..probabilities.len()].copy_from_slice(probabilities);
            Ok(())
        })?;
        let labels = loaded.batch.labels[..loaded.batch.n].iter().step_by(views);
        for (views_rows, &label) in rows.chunks_exact(views * classes).zip(labels) {
            average(views_rows, &mut mean);
            evaluation.count(&mean, label);
        }
        loader.give_back(loaded);
        progress(evaluation.images, total);
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
    }
    evaluation.bad = loader.bad();
    Ok(Some(evaluation))
}

/// The mean over views, `[views, classes]` to `[classes]`.
fn average(rows: &[f32], mean: &mut [f64]) {
    let views = rows.len() / mean.len();
    mean.fill(0.0);
    for row in rows.chunks_exact(mean.len()) {
        for (sum, &p) in mean.iter_mut().zip(row) {
            *sum += f64::from(p);
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= views as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six classes, counted by hand.
    #[test]
    fn ties_earn_part_of_a_point() {
        let mut e = Evaluation::new(6, 1);
        e.count(&[0.5, 0.1, 0.1, 0.1, 0.1, 0.1], 0); // right
        e.count(&[0.4, 0.4, 0.1, 0.05, 0.05, 0.0], 1); // tied first: 1/2
        e.count(&[0.3, 0.3, 0.3, 0.1, 0.0, 0.0], 2); // one of three: 1/3
        e.count(&[0.5, 0.1, 0.1, 0.1, 0.1, 0.1], 5); // wrong; four of five places left: 4/5
        e.count(&[0.3, 0.2, 0.2, 0.1, 0.15, 0.05], 5); // wrong, sixth
        e.count(&[1.0 / 6.0; 6], 3); // all equal: 1/6 and 5/6
        assert_eq!(e.images, 6);
        assert_eq!(e.top1, Credit { whole: 1, parts: BTreeMap::from([(2, 1), (3, 1), (6, 1)]) });
        assert_eq!(e.top5, Credit { whole: 3, parts: BTreeMap::from([(5, 4), (6, 5)]) });
        assert_eq!(e.top1.points(), 1.0 + 0.5 + 1.0 / 3.0 + 1.0 / 6.0);
        assert!((e.top1_error() - 4.0 / 6.0).abs() < 1e-15);
        assert_eq!(e.classes[5].images, 2);
        assert_eq!(e.confusion.iter().sum::<u64>(), 6);
        assert_eq!(e.confusion[6], 1, "label 1 tied with class 0, the lowest index is the prediction");
        let nll = -(0.5f64.ln() + 0.4f64.ln() + 0.3f64.ln() + 0.1f64.ln() + 0.05f64.ln() + (1.0f64 / 6.0).ln());
        assert!((e.nll_sum - nll).abs() < 1e-12);
    }

    #[test]
    fn impossible_labels_and_nan_earn_nothing() {
        let mut e = Evaluation::new(2, 1);
        e.count(&[1.0, 0.0], 1);
        assert_eq!((e.top1.points(), e.top5.points()), (0.0, 1.0));
        assert!((e.nll() - 126.0 * std::f64::consts::LN_2).abs() < 1e-12);
        e.count(&[f64::NAN, f64::NAN], 0);
        assert_eq!((e.top1.points(), e.top5.points()), (0.0, 1.0));
        assert!(e.nll().is_nan());
    }

    #[test]
    fn ten_views_are_averaged_before_counting() {
        let mut mean = [0.0; 2];
        average(&[0.9, 0.1, 0.2, 0.8, 0.25, 0.75], &mut mean);
        assert!((mean[0] - (0.9f32 as f64 + 0.2f32 as f64 + 0.25) / 3.0).abs() < 1e-16);
        assert!((mean[0] + mean[1] - 1.0).abs() < 1e-7);
    }

    #[test]
    fn tables_quote_names() {
        let mut e = Evaluation::new(2, 1);
        e.count(&[0.75, 0.25], 0);
        e.count(&[0.75, 0.25], 1);
        let names = ["a,\"b\"".to_string(), "c".to_string()];
        let per_class = "class,images,top1_correct,top5_correct,top1_error,top5_error\n\"a,\"\"b\"\"\",1,1,1,0,0\nc,1,0,1,1,0\n";
        assert_eq!(e.per_class_csv(&names, &[]), per_class);
        let words = ["tench, Tinca tinca".to_string(), String::new()];
        let per_class = e.per_class_csv(&names, &words);
        assert_eq!(per_class.lines().next(), Some("class,images,top1_correct,top5_correct,top1_error,top5_error,words"));
        assert!(per_class.ends_with("1,1,1,0,0,\"tench, Tinca tinca\"\nc,1,0,1,1,0,\n"), "{per_class}");
        assert_eq!(e.confusion_csv(&names), "label \\ predicted,\"a,\"\"b\"\"\",c\n\"a,\"\"b\"\"\",1,0\nc,1,0\n");
    }
}
