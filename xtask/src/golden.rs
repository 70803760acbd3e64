//! `cargo xtask golden`: every golden says today what it said when it was made.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Two derivations may differ by this much of a tensor's largest element: f64 roundoff on processors that sum in another order,
/// after ten steps of training.
const SAME: f64 = 1e-12;
/// A noise is a distance of two derivations, some 1e-6 of them, so it has the fewer digits.
const SAME_NOISE: f64 = 1e-3;

/// What became of a case.
enum Outcome {
    Made,
    Same,
    Skipped(String),
    Different(Vec<String>),
}

struct Options {
    check: bool,
    python: String,
    cases: Vec<String>,
}

/// Makes or checks the goldens under `root`, and tells; whether all is well.
pub(crate) fn run(root: &Path, arguments: impl Iterator<Item = String>) -> Result<bool> {
    let options = parse(arguments)?;
    let (mut made, mut same, mut skipped, mut different) = (0, 0, 0, 0);
    for case in cases(&root.join("golden"), &options.cases)? {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match derive(&case, &options).with_context(|| format!("golden {name}"))? {
            Outcome::Made => made += 1,
            Outcome::Same => {
                println!("{name}: same");
                same += 1;
            }
            Outcome::Skipped(why) => {
                println!("{name}: skipped, {why}");
                skipped += 1;
            }
            Outcome::Different(how) => {
                println!("{name}: {} differences\n  {}", how.len(), how.join("\n  "));
                different += 1;
            }
        }
    }
    println!("golden: {made} made, {same} same, {different} different, {skipped} skipped");
    let skips_fail = std::env::var("ALEXNET_NO_SKIPS").is_ok_and(|value| value == "1");
    Ok(different == 0 && !(skips_fail && skipped > 0))
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { check: false, python: "python3".into(), cases: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => options.check = true,
            "--python" => options.python = arguments.next().context("--python needs a path")?,
            flag if flag.starts_with('-') => bail!("there is no option `{flag}`"),
            _ => options.cases.push(argument),
        }
    }
    Ok(options)
}

/// The folders with a script, those of `names` or all, sorted.
fn cases(golden: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(golden).with_context(|| format!("{}", golden.display()))? {
        let entry = entry?;
        let wanted = names.is_empty() || names.iter().any(|name| entry.file_name() == name.as_str());
        if wanted && entry.path().join("make.py").is_file() {
            found.push(entry.path());
        }
    }
    if found.is_empty() || (!names.is_empty() && found.len() != names.len()) {
        bail!("{} of the goldens asked for are in {}", found.len(), golden.display());
    }
    found.sort();
    Ok(found)
}

fn derive(case: &Path, options: &Options) -> Result<Outcome> {
    let scratch = tempfile::tempdir()?;
    let target = if options.check { scratch.path().to_owned() } else { case.to_owned() };
    let run = Command::new(&options.python).arg("-B").arg(case.join("make.py")).arg(&target).output();
    let output = match run {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Outcome::Skipped(format!("there is no `{}`", options.python)));
        }
        Err(error) => return Err(error).context(options.python.clone()),
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return match text.lines().find(|line| line.starts_with("ModuleNotFoundError: ")) {
            Some(line) => Ok(Outcome::Skipped(line.to_owned())),
            None => bail!("make.py failed:\n{text}"),
        };
    }
    if !options.check {
        print!("{}", String::from_utf8_lossy(&output.stdout));
        return Ok(Outcome::Made);
    }
    let read = |folder: &Path| std::fs::read(folder.join("case.safetensors")).with_context(|| format!("{}", folder.display()));
    let differences = compare(&read(case)?, &read(&target)?)?;
    Ok(if differences.is_empty() { Outcome::Same } else { Outcome::Different(differences) })
}

/// Every way in which two files differ by more than roundoff.
fn compare(kept: &[u8], derived: &[u8]) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    if SafeTensors::read_metadata(kept)?.1.metadata() != SafeTensors::read_metadata(derived)?.1.metadata() {
        differences.push("the facts are others".into());
    }
    let (kept, derived) = (SafeTensors::deserialize(kept)?, SafeTensors::deserialize(derived)?);
    let mut names: Vec<&str> = kept.names();
    names.extend(derived.names().into_iter().filter(|name| kept.tensor(name).is_err()));
    names.sort_unstable();
    for name in names {
        match (kept.tensor(name), derived.tensor(name)) {
            (Ok(kept), Ok(derived)) => differences.extend(difference(name, &kept, &derived)),
            (Ok(_), Err(_)) => differences.push(format!("{name}: no longer made")),
            _ => differences.push(format!("{name}: not kept")),
        }
    }
    Ok(differences)
}

fn difference(name: &str, kept: &TensorView<'_>, derived: &TensorView<'_>) -> Option<String> {
    if (kept.shape(), kept.dtype()) != (derived.shape(), derived.dtype()) {
        let form = |view: &TensorView<'_>| format!("{:?} {:?}", view.dtype(), view.shape());
        return Some(format!("{name}: kept {}, made {}", form(kept), form(derived)));
    }
    if kept.dtype() != Dtype::F64 {
        return (kept.data() != derived.data()).then(|| format!("{name}: other bytes"));
    }
    let numbers = |view: &TensorView<'_>| -> Vec<f64> {
        view.data().as_chunks().0.iter().map(|&eight| f64::from_le_bytes(eight)).collect()
    };
    let (kept, derived) = (numbers(kept), numbers(derived));
    let size = kept.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let share = if name.starts_with("noise/") { SAME_NOISE } else { SAME };
    let bound = share * size;
    let within = |&(a, b): &(&f64, &f64)| (a - b).abs() <= bound; // false for NaN
    let (a, b) = kept.iter().zip(&derived).find(|pair| !within(pair))?;
    Some(format!("{name}: {b:e} where {a:e} is kept, apart by more than {bound:e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn file(name: &str, values: [f64; 2], facts: &str) -> Vec<u8> {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F64, vec![2], &bytes).expect("two numbers");
        let facts = HashMap::from([("case".to_owned(), facts.to_owned())]);
        safetensors::serialize([(name, view)], Some(facts)).expect("one tensor")
    }

    fn differences(kept: Vec<u8>, derived: Vec<u8>) -> usize {
        compare(&kept, &derived).expect("two files").len()
    }

    #[test]
    fn only_roundoff_is_forgiven() {
        let kept = || file("a", [1.0, 1e-9], "{}");
        assert_eq!(differences(kept(), kept()), 0);
        assert_eq!(differences(kept(), file("a", [1.0, 1e-9 + 1e-13], "{}")), 0);
        assert_eq!(differences(kept(), file("a", [1.0, 1e-9 + 1e-11], "{}")), 1);
        assert_eq!(differences(kept(), file("a", [1.0, f64::NAN], "{}")), 1);
        assert_eq!(differences(kept(), file("a", [f64::NAN, 1e-9], "{}")), 1);
        assert_eq!(differences(kept(), file("a", [1.0, 1e-9], "{\"seed\": 1}")), 1);
        assert_eq!(differences(kept(), file("b", [1.0, 1e-9], "{}")), 2);
        assert_eq!(differences(file("noise/a", [1.0, 0.0], "{}"), file("noise/a", [1.0005, 0.0], "{}")), 0);
    }
}
