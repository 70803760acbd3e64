//! Listeners fed with the events of runs that were stopped and resumed.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use report::{Console, Files, Style};
use train::{BadImage, Evaluated, Event, Log, Stages, Started, Step, Time};

const STEPS_PER_EPOCH: u32 = 4;

fn started(run: &Path, resumed_from: Option<u32>) -> Event {
    Event::Started(Started {
        net: "dwarf".into(),
        parameters: 10,
        engine: "cpu".into(),
        dataset: "photos".into(),
        classes: 3,
        train_images: 8,
        val_images: 4,
        batch: 2,
        micro_batch: 2,
        steps_per_epoch: STEPS_PER_EPOCH,
        steps: 5 * STEPS_PER_EPOCH,
        seed: 1,
        run: run.into(),
        resumed_from,
    })
}

/// A step whose every number follows from its own.
fn step(step: u32) -> Event {
    let loss = 1.0 / f64::from(step + 1);
    Event::Step(Step {
        step,
        epoch: step / STEPS_PER_EPOCH,
        batch: step % STEPS_PER_EPOCH,
        images: 2,
        loss,
        top1: step % 3,
        epoch_loss: loss,
        epoch_top1_error: 0.5,
        rate: 0.25,
        seconds: 0.5,
        wait_seconds: 0.125,
    })
}

fn evaluated(step: u32, top1_error: f64) -> Event {
    Event::Evaluated(Evaluated {
        step,
        epochs: f64::from(step) / f64::from(STEPS_PER_EPOCH),
        views: 1,
        images: 4,
        top1_error,
        top5_error: 0.0,
        nll: 0.75,
        best: false,
        seconds: 0.25,
    })
}

fn checkpoint(step: u32) -> Event {
    Event::Checkpoint { step, path: "c".into(), best: false, seconds: 0.5 }
}

/// The events of steps `from..to`, with an evaluation and a checkpoint after each epoch.
fn steps(from: u32, to: u32) -> Vec<Event> {
    let mut events = Vec::new();
    for i in from..to {
        if i > from && i.is_multiple_of(STEPS_PER_EPOCH) {
            events.extend([evaluated(i, 1.0 / f64::from(i)), checkpoint(i)]);
        }
        events.push(step(i));
    }
    events
}

fn listen(log: &mut dyn Log, events: &[Event]) {
    events.iter().for_each(|event| log.record(event));
}

fn read(run: &Path, name: &str) -> String {
    fs::read_to_string(run.join(name)).unwrap()
}

/// Killed after step 10 with a checkpoint of step 8, and resumed: the files of one process that was never killed.
#[test]
fn a_resumed_run_has_the_files_of_one_that_was_never_killed() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [whole, killed] = [folders[0].path(), folders[1].path()];
    let end = [evaluated(20, 0.5), Event::Finished { step: 20, epochs: 5, seconds: 1.0, checkpoint: "c".into() }];
    let mut files = Files::new(whole);
    listen(&mut files, &[vec![started(whole, None)], steps(0, 20), end.to_vec()].concat());
    assert!(files.problems().is_empty());
    let mut files = Files::new(killed);
    listen(&mut files, &[vec![started(killed, None)], steps(0, 11)].concat());
    drop(files);
    // The process was killed while it wrote a line.
    fs::OpenOptions::new().append(true).open(killed.join("events.jsonl")).unwrap().write_all(b"{\"event\":\"st").unwrap();
    let mut files = Files::new(killed);
    listen(&mut files, &[vec![started(killed, Some(8))], steps(8, 20), end.to_vec()].concat());
    let numbers = |run: &Path| -> Vec<String> {
        read(run, "events.jsonl").lines().filter(|line| !line.contains("started")).map(String::from).collect()
    };
    assert_eq!(numbers(killed), numbers(whole));
    assert_eq!(read(killed, "events.jsonl").matches("\"resumed_from\":8").count(), 1);
    assert_eq!(read(killed, "metrics.csv"), read(whole, "metrics.csv"));
    assert_eq!(read(killed, "curves.svg"), read(whole, "curves.svg"));
}

#[test]
fn metrics_are_means_over_images() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let mut files = Files::new(run);
    listen(&mut files, &[started(run, None), step(0), step(1), step(2), step(3), evaluated(4, 0.25)]);
    let text = read(run, "metrics.csv");
    // Losses 1, 1/2, 1/3, 1/4; 0, 1, 2 and 0 of 2 right; 8 images in 2 seconds.
    let row = "4,1.0000,0.25,0.520833,0.625000,0.750000,0.250000,0.000000,4.0";
    assert_eq!(text.lines().nth(1), Some(row), "{text}");
}

#[test]
fn losses_that_are_not_finite_are_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let diverged = |i| match step(i) {
        Event::Step(step) => Event::Step(Step { loss: f64::NAN, ..step }),
        other => other,
    };
    let mut files = Files::new(run);
    listen(&mut files, &[started(run, None), step(0), diverged(1), evaluated(2, 0.5)]);
    let mut files = Files::new(run);
    listen(&mut files, &[started(run, Some(2)), step(2), evaluated(3, 0.5)]);
    assert_eq!(read(run, "events.jsonl").lines().count(), 7);
    assert!(!read(run, "curves.svg").contains("NaN"));
}

#[test]
fn what_cannot_be_written_is_told_once_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("not/there");
    let mut files = Files::new(&run);
    listen(&mut files, &[started(&run, None), step(0)]);
    let problems = files.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|line| line.contains("is not written any more")), "{problems:?}");
    assert!(files.problems().is_empty());
    listen(&mut files, &[evaluated(1, 0.5)]);
    assert_eq!(files.problems().len(), 1, "the curves are written for the first time");
}

#[test]
fn bad_images_are_listed_split_by_split() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let bad = |split, names: &[&str]| Event::BadImages {
        split,
        images: names.iter().map(|name| BadImage { name: (*name).into(), reason: "no image".into() }).collect(),
    };
    let mut files = Files::new(run);
    listen(&mut files, &[started(run, None), bad("train", &["a"]), bad("val", &["v"]), bad("train", &["a", "b"])]);
    assert_eq!(read(run, "bad-images.txt"), "v\tno image\na\tno image\nb\tno image\n");
}

/// An output that a test can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn console(style: Style) -> (Console, Shared, Shared) {
    let (out, err) = (Shared::default(), Shared::default());
    (Console::with_outputs(style, Box::new(out.clone()), Box::new(err.clone())), out, err)
}

#[test]
fn a_plain_console_prints_a_row_an_epoch_and_no_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let (mut console, out, err) = console(Style::Plain { every: Duration::from_secs(3600) });
    listen(&mut console, &[vec![started(folder.path(), None)], steps(0, 10), vec![evaluated(10, 0.05)]].concat());
    let text = out.text();
    assert_eq!(text.lines().count(), 5, "a heading of two lines, two epochs and an evaluation within the third:\n{text}");
    assert!(text.lines().next().unwrap().contains("validation"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.lines().nth(2).unwrap().contains("25.00 %") && text.contains("2.50"), "{text}");
    assert!(!text.contains(['\r', '\x1b']));
    let summary = console.summary(Duration::from_secs(75));
    assert!(summary.contains("best") && summary.contains("5.00 %") && summary.contains("1 min 15 s"), "{summary}");
    assert_eq!(err.text(), "");
}

/// An epoch in which the engine waited for so many of ten seconds.
fn time(epoch: u32, wait_seconds: f64) -> Event {
    Event::Time(Time {
        step: (epoch + 1) * STEPS_PER_EPOCH,
        epoch,
        images: 900,
        seconds: 10.0,
        loader: Stages {
            images: 820,
            bytes: 0,
            read: Duration::from_secs_f64(0.5),
            decode: Duration::from_secs(3),
            augment: Duration::from_secs_f64(0.5),
            idle: Duration::ZERO,
            wait: Duration::from_secs_f64(wait_seconds),
            threads: 2,
        },
    })
}

#[test]
fn what_holds_a_run_up_is_said_below_the_row_and_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut console, out, _) = console(Style::Plain { every: Duration::from_secs(3600) });
    let mut events = vec![started(folder.path(), None)];
    for (epoch, wait_seconds) in [(0, 5.5), (1, 5.5), (2, 0.1)] {
        events.extend(steps(epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH));
        events.extend([time(epoch, wait_seconds), evaluated((epoch + 1) * STEPS_PER_EPOCH, 0.5)]);
    }
    listen(&mut console, &events);
    let text = out.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7, "{text}");
    assert_eq!(lines[3], "  decode-bound: 2 loader threads give 410 images/s, the engine takes 200: it waits 55 % of the time");
    assert_eq!(lines[6], "  engine-bound: 2 loader threads can give 410 images/s, the engine takes 90.9");
}

#[test]
fn an_epoch_without_an_evaluation_has_its_row_too() {
    let folder = tempfile::tempdir().unwrap();
    let (mut console, out, _) = console(Style::Plain { every: Duration::from_secs(3600) });
    listen(&mut console, &[started(folder.path(), None), step(0), step(1), step(2), step(3), step(4)]);
    assert_eq!(out.text().lines().count(), 3, "{}", out.text());
    assert!(out.text().contains('–'));
}

#[test]
fn a_live_line_is_drawn_over_and_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let (mut console, out, err) = console(Style::Live);
    listen(&mut console, &[started(folder.path(), None), step(0)]);
    for part in ["\r\x1b[2Kepoch 1/5", "step 1/20", "loss 1.0000", "top-1 error 100.0 %", "4.00 images/s"] {
        assert!(out.text().contains(part), "`{part}` is missing in {:?}", out.text());
    }
    console.record(&Event::Warning { step: 1, text: "look\nhere".into() });
    assert!(out.text().ends_with("\r\x1b[2K"));
    assert_eq!(err.text(), "warning: look\n         here\n");
}

#[test]
fn a_quiet_console_only_warns() {
    let folder = tempfile::tempdir().unwrap();
    let (mut console, out, err) = console(Style::Quiet);
    listen(&mut console, &[vec![started(folder.path(), None)], steps(0, 12)].concat());
    console.record(&Event::Warning { step: 1, text: "look".into() });
    console.say("nothing");
    assert_eq!((out.text().as_str(), err.text().as_str()), ("", "warning: look\n"));
}

#[test]
fn a_resumed_console_remembers_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    listen(&mut Files::new(run), &[vec![started(run, None)], steps(0, 4), vec![evaluated(4, 0.125), step(4)]].concat());
    let (mut console, out, _) = console(Style::Plain { every: Duration::from_secs(3600) });
    listen(&mut console, &[started(run, Some(4)), step(4), evaluated(5, 0.5)]);
    assert!(out.text().contains("going on from step 4 of 20, in epoch 2"), "{}", out.text());
    let summary = console.summary(Duration::ZERO);
    assert!(summary.contains("best     1.00      12.50 %"), "{summary}");
}
