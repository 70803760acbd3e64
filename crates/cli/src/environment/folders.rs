//! The folders in which NVIDIA's libraries lie on one system or another.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A machine: its environment, and its files under a root.
pub(super) struct Machine<'a> {
    /// A variable's value.
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// `/`
    pub(super) root: &'a Path,
}

/// Variables that lead to a CUDA toolkit.
pub(super) const TOOLKITS: [&str; 2] = ["CUDA_HOME", "CUDA_PATH"];
/// Variables that lead to an environment of Python's.
pub(super) const ENVIRONMENTS: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];
/// The variable that the system's loader reads.
pub(super) const LOADER: &str = "LD_LIBRARY_PATH";

impl Machine<'_> {
    /// All of them that exist, what the user has named before what the system has, each once. No process is started.
    pub(super) fn library_folders(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> =
            TOOLKITS.iter().filter_map(|name| self.path(name)).flat_map(|home| of_toolkit(&home)).collect();
        all.extend(self.paths(LOADER));
        let mut prefixes: Vec<PathBuf> = ENVIRONMENTS.iter().filter_map(|name| self.path(name)).collect();
        all.extend(prefixes.iter().flat_map(|prefix| of_toolkit(prefix)));
        prefixes.extend(self.pythons());
        all.extend(prefixes.iter().flat_map(|prefix| of_python(prefix)));
        all.extend(self.of_system());
        let mut real = BTreeSet::new();
        all.retain(|folder| folder.is_dir() && fs::canonicalize(folder).is_ok_and(|path| real.insert(path)));
        all
    }

    /// The absolute path that a variable names. A relative one means another folder wherever one stands.
    fn path(&self, name: &str) -> Option<PathBuf> {
        (self.variable)(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The absolute paths that a variable lists.
    fn paths(&self, name: &str) -> Vec<PathBuf> {
        let list = (self.variable)(name).unwrap_or_default();
        std::env::split_paths(&list).filter(|path| path.is_absolute()).collect()
    }

    /// Where Python's packages may be: around the `python3` that a shell would start and the one that it is a link to, and at home.
    fn pythons(&self) -> Vec<PathBuf> {
        let python = self.paths("PATH").into_iter().map(|folder| folder.join("python3")).find(|file| file.is_file());
        let around = |file: &Path| file.parent().and_then(Path::parent).map(PathBuf::from);
        let real = python.as_deref().and_then(|file| fs::canonicalize(file).ok());
        let mut all: Vec<PathBuf> = [python, real].into_iter().flatten().filter_map(|file| around(&file)).collect();
        // Where a system's own Python has what its administrator installed.
        all.extend(all.clone().iter().map(|prefix| prefix.join("local")));
        all.extend(self.path("HOME").map(|home| home.join(".local")));
        all
    }

    /// The toolkits of the system, the newest first, and what its loader knows.
    fn of_system(&self) -> Vec<PathBuf> {
        let at = |path: &str| self.root.join(path);
        let mut all: Vec<PathBuf> = of_toolkit(&at("usr/local/cuda"));
        let mut toolkits = entries(&at("usr/local"), |name| name.starts_with("cuda-"));
        toolkits.sort_by_key(|path| std::cmp::Reverse(version(path)));
        all.extend(toolkits.iter().flat_map(|toolkit| of_toolkit(toolkit)));
        let mut lists = vec![at("etc/ld.so.conf")];
        lists.extend(entries(&at("etc/ld.so.conf.d"), |name| name.ends_with(".conf")));
        let texts = lists.iter().filter_map(|list| fs::read_to_string(list).ok());
        all.extend(texts.flat_map(|text| named(&text)).map(|path| at(&path)));
        let arch = std::env::consts::ARCH;
        all.extend([format!("usr/lib/{arch}-linux-gnu"), format!("lib/{arch}-linux-gnu")].map(|path| at(&path)));
        let usual =
            ["usr/lib64", "lib64", "usr/lib", "lib", "usr/lib/wsl/lib", "run/opengl-driver/lib", "usr/local/nvidia/lib64"];
        all.extend(usual.map(at));
        all
    }
}

/// The folders that a list of the loader's names, from ld.so.conf(5), without their leading `/`. Other lists are read anyway.
fn named(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    lines.filter_map(|line| Some(line.strip_prefix('/')?.to_string())).collect()
}

/// 13.0 of cuda-13.0.
fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    name.trim_start_matches("cuda-").split('.').filter_map(|part| part.parse().ok()).collect()
}

fn of_toolkit(home: &Path) -> Vec<PathBuf> {
    let target = format!("targets/{}-linux/lib", std::env::consts::ARCH);
    ["lib64", "lib", &target].map(|folder| home.join(folder)).into()
}

/// `lib/python3.13/site-packages/nvidia/cu13/lib` and the like.
fn of_python(prefix: &Path) -> Vec<PathBuf> {
    let versions = entries(&prefix.join("lib"), |name| name.starts_with("python3"));
    let packages = versions.iter().flat_map(|version| ["site-packages", "dist-packages"].map(|name| version.join(name)));
    packages.flat_map(|packages| entries(&packages.join("nvidia"), |_| true)).map(|package| package.join("lib")).collect()
}

/// What a folder holds of such names, in their order.
fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let named = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Made {
        root: tempfile::TempDir,
    }

    impl Made {
        fn new(folders: &[&str]) -> Made {
            let made = Made { root: tempfile::tempdir().unwrap() };
            folders.iter().for_each(|folder| fs::create_dir_all(made.at(folder)).unwrap());
            made
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
            fs::write(self.at(path), text).unwrap();
        }

        /// The folders that are found, under the root, where each variable is paths under it.
        fn found(&self, variables: &[(&str, &[&str])]) -> Vec<String> {
            let variable = |name: &str| {
                let (_, paths) = variables.iter().find(|(known, _)| *known == name)?;
                let paths = paths.iter().map(|path| if path.starts_with("./") { path.into() } else { self.at(path) });
                Some(std::env::join_paths(paths).unwrap())
            };
            let machine = Machine { variable: &variable, root: self.root.path() };
            let under = |path: PathBuf| path.strip_prefix(self.root.path()).unwrap().display().to_string();
            machine.library_folders().into_iter().map(under).collect()
        }
    }

    const PACKAGE: &str = "site-packages/nvidia/cu13/lib";

    #[test]
    fn what_the_user_names_comes_before_what_the_system_has() {
        let venv = format!("venv/lib/python3.13/{PACKAGE}");
        let made = Made::new(&["cuda/lib64", "other/lib", "a", "b", &venv, "conda/lib", "usr/local/cuda/lib64", "usr/lib"]);
        let variables: &[(&str, &[&str])] = &[
            ("CUDA_HOME", &["cuda"]),
            ("CUDA_PATH", &["other"]),
            ("LD_LIBRARY_PATH", &["b", "./relative", "a", "gone"]),
            ("VIRTUAL_ENV", &["venv"]),
            ("CONDA_PREFIX", &["conda"]),
        ];
        let expected = ["cuda/lib64", "other/lib", "b", "a", "venv/lib", "conda/lib", &venv, "usr/local/cuda/lib64", "usr/lib"];
        assert_eq!(made.found(variables), expected);
        assert_eq!(made.found(&[("CUDA_HOME", &["./cuda"])]), ["usr/local/cuda/lib64", "usr/lib"]);
    }

    #[test]
    fn each_folder_is_named_once() {
        let made = Made::new(&["usr/lib", "usr/local/cuda-13.0/lib64"]);
        made.write("etc/ld.so.conf", "# our own\n/usr/lib  # twice\ninclude /etc/ld.so.conf.d/*.conf\n\n/nowhere\n");
        #[cfg(unix)]
        std::os::unix::fs::symlink("cuda-13.0", made.at("usr/local/cuda")).unwrap();
        let found = made.found(&[("LD_LIBRARY_PATH", &["usr/lib", "usr/lib"]), ("CUDA_HOME", &["usr/local/cuda-13.0"])]);
        assert_eq!(found, ["usr/local/cuda-13.0/lib64", "usr/lib"]);
    }

    #[test]
    fn the_loaders_lists_and_the_newest_toolkit_count() {
        let lib64 = |version: &str| format!("usr/local/cuda-{version}/lib64");
        let toolkits = ["12.9", "13.0", "13.10", "9.0"].map(lib64);
        let made = Made::new(&["opt/driver", "opt/more", "usr/lib/wsl/lib", "usr/local/nvidia/lib64"]);
        toolkits.iter().for_each(|toolkit| fs::create_dir_all(made.at(toolkit)).unwrap());
        made.write("etc/ld.so.conf.d/b.conf", "/opt/more\n");
        made.write("etc/ld.so.conf.d/a.conf", "/opt/driver\n");
        made.write("etc/ld.so.conf.d/c.conf.old", "/usr/local\n");
        let newest_first = ["13.10", "13.0", "12.9", "9.0"].map(lib64);
        let rest = ["opt/driver", "opt/more", "usr/lib", "usr/lib/wsl/lib", "usr/local/nvidia/lib64"].map(String::from);
        assert_eq!(made.found(&[]), [&newest_first[..], &rest].concat());
    }

    #[test]
    #[cfg(unix)]
    fn the_python_that_a_shell_would_start_has_packages() {
        let packages = [
            format!("base/lib/python3.12/{PACKAGE}"),
            format!("home/.local/lib/python3.12/{PACKAGE}"),
            format!("venv/lib/python3.12/{PACKAGE}"),
            "base/local/lib/python3.12/dist-packages/nvidia/cuda_nvrtc/lib".into(),
        ];
        let made = Made::new(&["empty"]);
        packages.iter().for_each(|package| fs::create_dir_all(made.at(package)).unwrap());
        made.write("base/bin/python3", "");
        made.write("late/bin/python3", "");
        fs::create_dir_all(made.at("venv/bin")).unwrap();
        std::os::unix::fs::symlink(made.at("base/bin/python3"), made.at("venv/bin/python3")).unwrap();
        let path: (&str, &[&str]) = ("PATH", &["empty", "venv/bin", "late/bin"]);
        let [base, home, venv, local] = packages;
        assert_eq!(made.found(&[path, ("HOME", &["home"])]), [venv, base, local, home]);
        assert_eq!(made.found(&[]), [""; 0]);
    }
}
