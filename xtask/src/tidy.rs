//! `cargo xtask tidy`: the conventions that a program can check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which workspace crates each crate may depend on outside its tests: ARCHITECTURE.md's table.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("reference", &["net"]),
    ("cpu", &["net"]),
    ("cuda", &["net"]),
    ("conformance", &["net", "reference"]),
    ("jpeg", &[]),
    ("data", &["net", "jpeg", "weights"]),
    ("weights", &["net"]),
    ("train", &["net", "data", "weights"]),
    ("report", &["net", "train"]),
    ("zoo", &["net", "data", "weights", "train"]),
    ("cli", &["net", "reference", "cpu", "cuda", "conformance", "data", "weights", "train", "report", "zoo"]),
];

/// Where `unsafe` may stand.
const MAY_BE_UNSAFE: &[&str] = &[
    "crates/cpu/src/kernels/",
    "crates/cpu/src/arena.rs",
    "crates/cpu/src/threads.rs",
    "crates/cuda/src/driver/",
    "crates/data/src/kernels/",
    "crates/data/src/loader/rows.rs",
    "crates/jpeg/src/simd",
    "crates/weights/src/map.rs",
];

/// Files whose tests need a counting allocator, which is an `unsafe` trait.
const UNSAFE_TESTS: &[&str] = &["crates/cpu/tests/", "crates/jpeg/tests/allocations.rs"];

const MOST_LINES: usize = 900;

/// Checks the repository at `root`; returns one line for each fault.
pub(crate) fn faults(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let files = tracked(root);
    let texts: BTreeMap<String, String> = files
        .iter()
        .filter(|f| [".rs", ".md", ".toml", ".py", ".sh"].iter().any(|e| f.ends_with(e)) || f.as_str() == ".ci/run")
        .filter_map(|f| Some((f.clone(), fs::read_to_string(root.join(f)).ok()?)))
        .collect();
    for (file, text) in &texts {
        check_source(file, text, &mut faults);
        check_links(root, file, text, &mut faults);
    }
    check_dependencies(&texts, &mut faults);
    check_architecture(&texts, &mut faults);
    check_recipes(&texts, &mut faults);
    check_goldens(&files, &mut faults);
    faults
}

/// The files that git knows, or would add.
fn tracked(root: &Path) -> Vec<String> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let text = listed.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().map(String::from).filter(|f| root.join(f).is_file()).collect()
}

fn check_source(file: &str, text: &str, faults: &mut Vec<String>) {
    let this_file = file.ends_with("tidy.rs");
    if (file.ends_with(".rs") || file.ends_with(".py")) && text.lines().count() > MOST_LINES {
        faults.push(format!("{file}: {} lines, more than {MOST_LINES}", text.lines().count()));
    }
    // This file names what it forbids.
    if !file.ends_with(".rs") || this_file {
        return;
    }
    let stem = Path::new(file).file_stem().and_then(|s| s.to_str()).unwrap_or("");
    if ["core", "common", "utils", "helpers", "util", "misc"].contains(&stem) {
        faults.push(format!("{file}: a module is named after what it holds, not `{stem}`"));
    }
    let tests_from = text.lines().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(usize::MAX);
    for (number, line) in text.lines().enumerate() {
        let at = format!("{file}:{}", number + 1);
        let code = line.split("//").next().unwrap_or("");
        for word in ["todo!(", "unimplemented!(", "#[ignore", "dbg!("] {
            if code.contains(word) {
                faults.push(format!("{at}: `{word}`"));
            }
        }
        if line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "FIXME" || word == "XXX") {
            faults.push(format!("{at}: an unfinished remark"));
        }
        let is_unsafe = code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl");
        if is_unsafe && !MAY_BE_UNSAFE.iter().chain(UNSAFE_TESTS).any(|place| file.starts_with(place)) {
            faults.push(format!("{at}: `unsafe` outside {}", MAY_BE_UNSAFE.join(", ")));
        }
        let program = file.starts_with("crates/cli/") || number >= tests_from;
        let library = file.starts_with("crates/") && file.contains("/src/") && !program;
        if library && ["println!(", "eprintln!(", "print!(", "process::exit("].iter().any(|w| code.contains(w)) {
            faults.push(format!("{at}: a library neither prints nor exits"));
        }
    }
}

/// Relative links of Markdown files lead to files that exist.
fn check_links(root: &Path, file: &str, text: &str, faults: &mut Vec<String>) {
    if !file.ends_with(".md") {
        return;
    }
    let folder = root.join(file).parent().map(PathBuf::from).unwrap_or_default();
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let target = link.split('#').next().unwrap_or("");
        if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
            faults.push(format!("{file}: the link to {target} leads nowhere"));
        }
    }
}

/// The manifests' `[dependencies]` keep to ARCHITECTURE.md's table.
fn check_dependencies(texts: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let rooms: Vec<&str> = MAY_DEPEND.iter().map(|(name, _)| *name).collect();
    for (file, text) in texts.iter().filter(|(f, _)| f.starts_with("crates/") && f.ends_with("/Cargo.toml")) {
        let room = file.split('/').nth(1).unwrap_or("");
        let Some((_, allowed)) = MAY_DEPEND.iter().find(|(name, _)| *name == room) else {
            faults.push(format!("{file}: crate `{room}` has no row in tidy's table and ARCHITECTURE.md"));
            continue;
        };
        let section = text.split("[dependencies]").nth(1).map(|rest| rest.split("\n[").next().unwrap_or("")).unwrap_or("");
        for name in section.lines().filter_map(|l| l.split(['.', ' ', '=']).next()) {
            if rooms.contains(&name) && !allowed.contains(&name) {
                faults.push(format!("{file}: `{room}` must not know `{name}`"));
            }
        }
    }
}

/// ARCHITECTURE.md names every crate.
fn check_architecture(texts: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let page = texts.get("ARCHITECTURE.md").map(String::as_str).unwrap_or("");
    for (room, _) in MAY_DEPEND {
        if !page.contains(&format!("`crates/{room}`")) {
            faults.push(format!("ARCHITECTURE.md: no word of crates/{room}"));
        }
    }
}

/// Every preset has a recipe that names it.
fn check_recipes(texts: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let presets = texts.get("crates/net/src/presets.rs").map(String::as_str).unwrap_or("");
    let names = presets.split("Preset { name: \"").skip(1).chain(presets.split("\n        name: \"").skip(1));
    let names: Vec<&str> = names.filter_map(|rest| rest.split('"').next()).collect();
    if names.len() < 15 {
        faults.push(format!("crates/net/src/presets.rs: tidy finds only {} presets", names.len()));
    }
    for name in names.into_iter().filter(|name| *name != "tiny") {
        let line = format!("net = \"{name}\"");
        if !texts.iter().any(|(file, text)| file.starts_with("recipes/") && text.contains(&line)) {
            faults.push(format!("recipes/: none has `{line}`"));
        }
    }
}

/// Every golden stands beside the script that made it and the versions that it was made with.
fn check_goldens(files: &[String], faults: &mut Vec<String>) {
    let cases: std::collections::BTreeSet<&str> =
        files.iter().filter_map(|f| f.strip_prefix("golden/")?.split_once('/').map(|(case, _)| case)).collect();
    if cases.is_empty() {
        faults.push("golden/: no goldens".into());
    }
    for case in cases {
        for needed in ["make.py", "versions.txt"] {
            if !files.contains(&format!("golden/{case}/{needed}")) {
                faults.push(format!("golden/{case}: no {needed}"));
            }
        }
    }
}
