//! Runs the binary, and makes small data sets for it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `alexnet!("train", "--data", folder)`: a command of the program, not yet run. Arguments are anything like a path.
macro_rules! alexnet {
    ($($arg:expr),* $(,)?) => { crate::support::Program::new([$(std::ffi::OsString::from($arg)),*]) };
}
pub(crate) use alexnet;

/// A command of the program.
pub(crate) struct Program {
    command: Command,
}

/// What a command printed, and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    /// One that finds no GPU, wherever it runs.
    pub(crate) fn new<const N: usize>(args: [OsString; N]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alexnet"));
        command.args(args).stdin(Stdio::null()).env_remove("ALEXNET_ISA").env("ALEXNET_CUDA", "");
        Program { command }
    }

    /// Adds arguments.
    pub(crate) fn and<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Program {
        self.command.args(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Program {
        self.command.env(name, value);
        self
    }

    pub(crate) fn within(mut self, folder: &Path) -> Program {
        self.command.current_dir(folder);
        self
    }

    /// Runs it with so much address space, in MiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn limited_to(self, mib: u64) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$0\" && exec \"$@\""]).arg((mib << 10).to_string());
        command.arg(self.command.get_program()).args(self.command.get_args()).stdin(Stdio::null());
        command.env_remove("ALEXNET_ISA").env("ALEXNET_CUDA", "");
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        Program { command }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Ran {
        let output = self.command.output().expect("the binary starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!ran.err.contains("panicked"), "the program panicked:\n{ran}");
        ran
    }

    /// Runs it and expects success.
    pub(crate) fn ok(self) -> Ran {
        let ran = self.run();
        assert_eq!(ran.code, Some(0), "{ran}");
        ran
    }

    /// Runs it and expects a failure with one `error:` line, which is returned, and one `hint:` line.
    pub(crate) fn fails(self, code: i32) -> String {
        let ran = self.run();
        assert_eq!(ran.code, Some(code), "{ran}");
        ran.error()
    }

    /// Starts it, its output going to files in `folder`.
    pub(crate) fn start(mut self, folder: &Path) -> Running {
        let file = |name: &str| fs::File::create(folder.join(name)).expect("the test's folder takes files");
        let child = self.command.stdout(file("out")).stderr(file("err")).spawn().expect("the binary starts");
        Running { child, folder: folder.into() }
    }
}

/// A command that is going on; killed when the test ends before it.
pub(crate) struct Running {
    child: Child,
    folder: PathBuf,
}

impl Running {
    /// Waits until `done`, for a minute at most, while the command is going on.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {what}\n{}", self.printed(None));
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                assert!(done(), "the command ended before {what}\n{}", self.printed(status.code()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().expect("kill runs");
        assert!(status.success(), "the signal was sent");
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    /// Waits for its own end, for a minute at most.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ran {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return self.printed(status.code());
            }
            assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for the end\n{}", self.printed(None));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn printed(&self, code: Option<i32>) -> Ran {
        let text = |name: &str| fs::read_to_string(self.folder.join(name)).expect("the program prints UTF-8");
        Ran { code, out: text("out"), err: text("err") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// The one `error:` line, with the lines of its list where it has one; there is also one `hint:` line.
    pub(crate) fn error(&self) -> String {
        let lines = |start: &str| self.err.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        let (errors, hints) = (lines("error: "), lines("hint: "));
        assert_eq!((errors.len(), hints.len()), (1, 1), "one error and one hint are expected\n{self}");
        let from_error = &self.err[self.err.find(errors[0]).unwrap()..];
        from_error[..from_error.find("\nhint: ").unwrap()].to_string()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n-- out\n{}-- err\n{}", self.code, self.out, self.err)
    }
}

/// Asserts that `text` contains each of the strings.
#[track_caller]
pub(crate) fn contains(text: &str, all: &[&str]) {
    for part in all {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// Says that a test cannot run here; where `ALEXNET_NO_SKIPS=1`, that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|v| v != "1"), "skipped: {reason}");
    // Past the test runner, which keeps to itself what passing tests print.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {reason}\n").as_bytes());
}

/// A small file system of its own, gone when this is dropped.
#[cfg(target_os = "linux")]
pub(crate) struct Disk(PathBuf);

#[cfg(target_os = "linux")]
impl Disk {
    /// One of `size`, as mount(8) writes it, in the new folder `path`. Without the right to mount, the test is skipped and this
    /// is `None`.
    pub(crate) fn mount(path: PathBuf, size: &str) -> Option<Disk> {
        fs::create_dir(&path).unwrap();
        if !did("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], &path) {
            skip("a small file system can only be mounted by root");
            return None;
        }
        Some(Disk(path))
    }

    /// Changes its options, such as `size=4m` and `ro`.
    pub(crate) fn remount(&self, option: &str) {
        assert!(did("mount", &["-o", &format!("remount,{option}")], &self.0), "{option}");
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let gone = did("umount", &[], &self.0);
        assert!(gone || std::thread::panicking(), "the file system is taken away again");
    }
}

#[cfg(target_os = "linux")]
fn did(command: &str, args: &[&str], path: &Path) -> bool {
    Command::new(command).args(args).arg(path).output().is_ok_and(|output| output.status.success())
}

/// A picture of `side × side` pixels, most of them of one colour, as a BMP file.
pub(crate) fn bmp(side: u32, colour: [u8; 3], variant: u32) -> Vec<u8> {
    let row = (side * 3).next_multiple_of(4);
    let mut file = Vec::new();
    file.extend(b"BM");
    for word in [54 + row * side, 0, 54, 40, side, side] {
        file.extend(word.to_le_bytes());
    }
    file.extend([1, 0, 24, 0]);
    for word in [0, row * side, 2835, 2835, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for y in 0..side {
        let start = file.len();
        for x in 0..side {
            // A different speck in each variant.
            let speck = (x * 7 + y * 13 + variant * 5).is_multiple_of(11);
            let [r, g, b] = if speck { [(variant * 40 % 256) as u8; 3] } else { colour };
            file.extend([b, g, r]);
        }
        file.resize(start + row as usize, 0);
    }
    file
}

/// A whole JPEG file of 16 × 16 pixels.
pub(crate) fn jpeg() -> Vec<u8> {
    let mut file = Vec::new();
    let rgb: Vec<u8> = (0..16 * 16 * 3).map(|i| (i * 37 % 251) as u8).collect();
    jpeg_encoder::Encoder::new(&mut file, 90).encode(&rgb, 16, 16, jpeg_encoder::ColorType::Rgb).expect("memory takes a JPEG");
    file
}

/// The net of these tests: three classes at 8 × 8 pixels, in microseconds.
pub(crate) const NET: &str = r#"
name = "dwarf"
input = { c = 3, h = 8, w = 8 }

[[layer]]
name = "conv1"
conv = { k = 8, kernel = 3, padding = 1, weight = { init = { gaussian = 0.1 } }, bias = { init = { constant = 0.0 } } }

[[layer]]
name = "relu1"
relu = {}

[[layer]]
name = "pool1"
max_pool = { kernel = 2, stride = 2 }

[[layer]]
name = "drop"
dropout = { rate = 0.25, scaling = "train" }

[[layer]]
name = "fc"
linear = { k = 3, weight = { init = { gaussian = 0.1 } }, bias = { init = { constant = 0.0 } } }

[[layer]]
name = "prob"
softmax = {}
"#;

/// How it is trained.
pub(crate) const RECIPE: &str = r#"
net = "tiny"
batch = 6
epochs = 3
seed = 7
momentum = 0.9
decay = 0.0005

[schedule]
rate = 0.001

[preprocessing]
stored = 10
"#;

/// A folder with a net, a recipe and a data set of three classes, to be taken away at the end of a test.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

pub(crate) const CLASSES: [(&str, [u8; 3]); 3] = [("Red", [200, 30, 30]), ("blue", [30, 30, 200]), ("7 green", [30, 180, 40])];

impl Place {
    /// `photos/train/<class>/0.bmp` to `7.bmp` and `photos/val/<class>/0.bmp` to `3.bmp`, `net.toml`, `recipe.toml`.
    pub(crate) fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().expect("there is a place for temporary files") };
        place.write("net.toml", NET);
        place.write("recipe.toml", RECIPE);
        for (split, images) in [("train", 8), ("val", 4)] {
            for (class, colour) in CLASSES {
                for i in 0..images {
                    place.write(&format!("photos/{split}/{class}/{i}.bmp"), bmp(12, colour, i));
                }
            }
        }
        place
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }

    /// `alexnet train` on the data set, into `run`; two threads.
    pub(crate) fn train(&self, run: &str) -> Program {
        alexnet!("train", "--data", self.path("photos"), "--net", self.path("net.toml"), "--recipe", self.path("recipe.toml"))
            .and(["--threads", "2", "--run"])
            .and([self.path(run)])
            .within(self.folder.path())
    }
}
