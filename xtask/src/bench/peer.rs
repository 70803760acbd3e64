//! The peers, and how each is run at its strongest.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

use super::Options;

/// Whom we are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Torch,
    OpenVino,
    OnnxRuntime,
}

/// One way to run a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) name: String,
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) arguments: Vec<&'static str>,
}

/// Keeps in the process what a step frees, on huge pages, so that the next step need not ask the system for it again.
const KEEPING: [(&str, &str); 4] = [
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "100000000000"),
    ("MALLOC_TOP_PAD_", "1000000000"),
    ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
];

/// Where distributions put libraries.
const FOLDERS: [&str; 4] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Peer> {
        match name {
            "torch" => Ok(Peer::Torch),
            "openvino" => Ok(Peer::OpenVino),
            "onnxruntime" => Ok(Peer::OnnxRuntime),
            _ => bail!("there is no peer `{name}`: it is torch, openvino or onnxruntime"),
        }
    }
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Torch => "torch",
            Peer::OpenVino => "openvino",
            Peer::OnnxRuntime => "onnxruntime",
        }
    }

    /// The script in `bench/peers`.
    pub(super) fn script(self) -> String {
        format!("{}_alexnet.py", self.name())
    }

    /// Whether the peer can do what is asked.
    pub(super) fn check(self, options: &Options) -> Result<()> {
        let name = self.name();
        ensure!(self == Peer::Torch || options.mode == "forward", "{name} does not train: give --mode forward");
        ensure!(self == Peer::Torch || !options.plain, "{name} has no --plain");
        ensure!(self != Peer::OnnxRuntime || options.dtype == "f32", "{name} has no bf16 on the CPU");
        Ok(())
    }

    /// The ways that may be the fastest; which one it is depends on the machine, the batch and the peer's version.
    pub(super) fn ways(self, options: &Options) -> Vec<Way> {
        if options.plain {
            return vec![Way { name: "as it comes".into(), environment: Vec::new(), arguments: vec!["--style", "plain"] }];
        }
        let hints: &[&'static str] = match self {
            Peer::Torch => &[],
            // One image is a matter of latency.
            _ if options.batch == 1 => &["latency"],
            _ => &["latency", "throughput"],
        };
        let mut ways = Vec::new();
        for (name, environment) in self.allocators(options) {
            let way = |hint: Option<&'static str>| Way {
                name: hint.map_or(name.clone(), |hint| format!("{hint}, {name}")),
                environment: environment.clone(),
                arguments: hint.into_iter().flat_map(|hint| ["--hint", hint]).collect(),
            };
            if hints.is_empty() {
                ways.push(way(None));
            }
            ways.extend(hints.iter().map(|hint| way(Some(hint))));
        }
        ways
    }

    /// The allocators that are worth a trial, with the environment that chooses them.
    fn allocators(self, options: &Options) -> Vec<(String, Vec<(&'static str, String)>)> {
        let mut found = vec![("glibc keeping memory".into(), KEEPING.map(|(name, value)| (name, value.into())).to_vec())];
        // Under tcmalloc PyTorch's compiled normalisation crashes in some training runs, which gain nothing by it, and OpenVINO
        // in all runs.
        let crashes = self == Peer::OpenVino || (self == Peer::Torch && options.mode == "train");
        let library = FOLDERS.iter().map(|folder| Path::new(folder).join("libtcmalloc.so.4")).find(|path| path.is_file());
        if let Some(path) = library.filter(|_| !crashes) {
            found.push(("tcmalloc".into(), vec![("LD_PRELOAD", path.display().to_string())]));
        }
        found
    }
}
