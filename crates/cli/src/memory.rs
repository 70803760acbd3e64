//! How much memory there is, and how many images fit in it.

use std::fs;
use std::path::{Path, PathBuf};

use net::Net;
use report::format;

use crate::failure::{Failure, Result};
use crate::usage::bytes_of;

/// What `--batch` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    /// So many.
    Count(usize),
    /// As many as fit.
    Auto,
}

/// `--batch N|auto`
pub(crate) fn images(text: &str) -> Result<Images, String> {
    match text.parse::<u32>() {
        _ if text == "auto" => Ok(Images::Auto),
        Ok(count @ 1..) => Ok(Images::Count(count as usize)),
        _ => Err("a number of images from 1 on, or auto, is expected".into()),
    }
}

/// This part of the memory is left to what nobody counts: code, stacks, images while they are decoded.
const SPARE: u64 = 16;

/// The largest of `choices`, which ascend, whose need fits in `available` bytes with something to spare. Where a larger choice
/// needs less, it may be missed; what is returned fits.
pub(crate) fn largest_that_fits(
    choices: &[usize],
    available: u64,
    mut need: impl FnMut(usize) -> Result<u64>,
) -> Result<Option<usize>> {
    let most = available - available / SPARE;
    let (mut fitting, mut end) = (0, choices.len());
    while fitting < end {
        let middle = fitting + (end - fitting) / 2;
        if need(choices[middle])? <= most {
            fitting = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(fitting.checked_sub(1).map(|last| choices[last]))
}

/// The divisors of a batch, ascending: passes that are all of one size.
pub(crate) fn equal_passes(batch: usize) -> Vec<usize> {
    (1..=batch).filter(|&images| batch.is_multiple_of(images)).collect()
}

/// Memory that is too small for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// Images in a pass that were asked for.
    images: usize,
    need: u64,
    available: u64,
    /// Images that would fit.
    fitting: Option<usize>,
    /// Whether it is the GPU's memory.
    on_gpu: bool,
}

/// Whether `images` need more than `available` bytes, and which of the smaller `choices` would fit.
pub(crate) fn shortage(
    images: usize,
    choices: &[usize],
    available: u64,
    need: impl Fn(usize) -> Result<u64>,
) -> Result<Option<Shortage>> {
    let asked = need(images)?;
    if asked <= available {
        return Ok(None);
    }
    let fitting = largest_that_fits(choices, available, need)?;
    Ok(Some(Shortage { images, need: asked, available, fitting, on_gpu: false }))
}

impl Shortage {
    /// The same of a GPU's memory.
    pub(crate) fn on_gpu(self) -> Shortage {
        Shortage { on_gpu: true, ..self }
    }

    /// The error, with `hint` where a smaller number of images would do.
    pub(crate) fn failure(&self, net: &Net, hint: impl FnOnce(usize) -> String) -> Failure {
        let images = |count: usize| format::of(count as u64, "image", "images");
        let fits = match self.fitting {
            Some(1) => "1 image fits".into(),
            Some(count) => format!("{} fit", images(count)),
            None => "not even 1 image fits".into(),
        };
        let message = format!(
            "too little memory{}: `{}` with {} in a pass needs {}, {} are available; {fits}",
            if self.on_gpu { " on the GPU" } else { "" },
            net.name(),
            images(self.images),
            mib(self.need.next_multiple_of(1 << 20)),
            mib(self.available)
        );
        let more = || match self.on_gpu {
            true => {
                "end what else is on that GPU, or take another with --device cuda:N; smaller batches and nets need less".into()
            }
            false => {
                "free some memory, or raise the limit that the program runs under; smaller batches and nets need less".into()
            }
        };
        Failure::failed(message, self.fitting.map_or_else(more, hint))
    }
}

/// `1,600 MiB`, rounded down.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", format::count(bytes >> 20))
}

/// Address space that glibc maps for a thread's allocations, unused for the most part: 64 MiB, and as much again to align them.
const THREAD_BYTES: u64 = 128 << 20;

/// Bytes that this process may still take, where so many more threads will allocate; without end where the system does not
/// tell, which Linux does.
pub(crate) fn available(threads: usize) -> u64 {
    available_under(Path::new("/"), threads)
}

/// The same, from the files under `root`: the least of what the machine has left, what each control group that holds the process
/// leaves it, and what its own limit does.
fn available_under(root: &Path, threads: usize) -> u64 {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let machine = bytes_of("MemAvailable", &read("proc/meminfo"));
    let own = address_space(&read("proc/self/limits"), &read("proc/self/status"));
    let own = own.map(|left| left.saturating_sub(THREAD_BYTES * threads as u64));
    let groups = groups(&read("proc/self/cgroup"));
    let groups = groups.iter().filter_map(|group| group.left(&root.join("sys/fs/cgroup")));
    groups.chain(machine).chain(own).min().unwrap_or(u64::MAX)
}

/// What RLIMIT_AS leaves, from proc_pid_limits(5) and proc_pid_status(5).
fn address_space(limits: &str, status: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let soft: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(soft.saturating_sub(bytes_of("VmSize", status)?))
}

/// A control group that counts memory, and how its files are named: cgroups(7).
struct Group {
    /// Under the place where control groups are mounted.
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// In memory.stat: pages of files that were read once, which the kernel gives up before it refuses memory.
    reclaimable: &'static str,
}

/// The groups of this process and all groups around them, whose limits count too, from proc_pid_cgroup(5). In a container the
/// folders of the outer ones do not exist.
fn groups(text: &str) -> Vec<Group> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, limit, usage, reclaimable) = match controllers {
            "" => ("", "memory.max", "memory.current", "inactive_file"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            }
            _ => continue,
        };
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        all.extend(around.map(|part| Group { folder: Path::new(mount).join(part), limit, usage, reclaimable }));
    }
    all
}

impl Group {
    /// Bytes that the group may still take; `None` where it has no limit.
    fn left(&self, mount: &Path) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(mount.join(&self.folder).join(name)).ok();
        // `max` is no number.
        let limit: u64 = read(self.limit)?.trim().parse().ok()?;
        let usage: u64 = read(self.usage)?.trim().parse().ok()?;
        let stat = read("memory.stat").unwrap_or_default();
        let pages = stat.lines().find_map(|line| line.strip_prefix(self.reclaimable)?.strip_prefix(' ')?.parse::<u64>().ok());
        Some(limit.saturating_sub(usage.saturating_sub(pages.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn linear(images: usize) -> Result<u64> {
        Ok(100 + 10 * images as u64)
    }

    #[test]
    fn the_largest_choice_that_fits_is_taken() {
        let all: Vec<usize> = (1..=128).collect();
        // A sixteenth is left: 1600 − 100 is enough for 140 images, 1080 − 67 for 91.
        for (available, expected) in [(1600, Some(128)), (1080, Some(91)), (118, Some(1)), (116, None), (0, None)] {
            assert_eq!(largest_that_fits(&all, available, linear).unwrap(), expected, "{available}");
        }
        for (available, expected) in [(1600, Some(128)), (1500, Some(128)), (1400, Some(64)), (500, Some(32)), (118, Some(1))] {
            assert_eq!(largest_that_fits(&equal_passes(128), available, linear).unwrap(), expected, "{available}");
        }
        assert_eq!(largest_that_fits(&all, u64::MAX, linear).unwrap(), Some(128));
        assert_eq!(largest_that_fits(&[], 1 << 40, linear).unwrap(), None);
    }

    #[test]
    fn what_is_chosen_fits_even_where_need_does_not_grow_evenly() {
        let choices: Vec<usize> = (1..=64).collect();
        let need = |images: usize| Ok(100 * images as u64 + if images.is_multiple_of(7) { 900 } else { 0 });
        for available in (0..8000).step_by(50) {
            if let Some(images) = largest_that_fits(&choices, available, need).unwrap() {
                assert!(need(images).unwrap() <= available, "{images} in {available}");
            }
        }
    }

    #[test]
    fn passes_of_one_size() {
        assert_eq!(equal_passes(12), [1, 2, 3, 4, 6, 12]);
        assert_eq!(equal_passes(1), [1]);
    }

    #[test]
    fn a_shortage_names_what_is_needed_what_is_there_and_what_fits() {
        let net = Net::preset("tiny").unwrap();
        let need = |images: usize| Ok(images as u64 * 100 * MIB);
        let text = |available| {
            let shortage = shortage(16, &equal_passes(16), available, need).unwrap();
            shortage.map(|shortage| shortage.failure(&net, |count| format!("take {count}")).to_string())
        };
        assert_eq!(text(1600 * MIB), None);
        let line =
            "error: too little memory: `tiny` with 16 images in a pass needs 1,600 MiB, 900 MiB are available; 8 images fit";
        assert_eq!(text(900 * MIB).unwrap(), format!("{line}\nhint: take 8"));
        assert!(text(110 * MIB).unwrap().contains("1 image fits"));
        assert!(text(90 * MIB).unwrap().contains("not even 1 image fits\nhint: free some memory"));
        let on_gpu = shortage(16, &[1], 90 * MIB, need).unwrap().unwrap().on_gpu().failure(&net, |_| String::new()).to_string();
        assert!(
            on_gpu.starts_with("error: too little memory on the GPU: `tiny` with 16 images") && on_gpu.contains("cuda:N"),
            "{on_gpu}"
        );
    }

    #[test]
    fn batches_are_numbers_or_auto() {
        assert_eq!((images("auto"), images("7")), (Ok(Images::Auto), Ok(Images::Count(7))));
        for text in ["0", "-1", "", "Auto", "1.5", "99999999999"] {
            assert!(images(text).is_err(), "{text}");
        }
    }

    /// A root with 8 GiB left by the machine, and these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
        for (path, text) in files.iter().chain([&meminfo]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_machine_its_groups_and_the_limit_of_the_process_count() {
        let left = |files: &[(&str, &str)]| available_under(root(files).path(), 0) / MIB;
        assert_eq!(left(&[]), 8192);
        let limits =
            ("proc/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax address space  1073741824  unlimited  bytes\n");
        let status = ("proc/self/status", "VmSize:\t 102400 kB\n");
        assert_eq!(left(&[limits, status]), 924);
        assert_eq!(available_under(root(&[limits, status]).path(), 2) / MIB, 924 - 256);
        let boundless = ("proc/self/limits", "Max address space  unlimited  unlimited  bytes\n");
        assert_eq!(left(&[boundless, status]), 8192);
        let second = [
            ("proc/self/cgroup", "0::/a.slice/b.scope\n"),
            ("sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n"),
            ("sys/fs/cgroup/a.slice/b.scope/memory.current", "1048576\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/a.slice/memory.current", "536870912\n"),
            ("sys/fs/cgroup/a.slice/memory.stat", "anon 1\ninactive_file 104857600\nactive_file 5\n"),
        ];
        assert_eq!(left(&second), 512 + 100);
        // In a container the group's path is the host's, and its files lie at the mount itself.
        let first = [
            ("proc/self/cgroup", "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/docker/x\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n"),
        ];
        assert_eq!(left(&first), 1024);
        assert_eq!(available_under(tempfile::tempdir().unwrap().path(), 0), u64::MAX);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells() {
        assert!((1..1 << 60).contains(&available(0)));
    }
}
