//! Another process, which was built with sanitizers: `kernels/host/runner.cpp`.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use net::Result;

use super::host::{Host, Kernel, Order};
use crate::driver::{Launch, fault};

/// What a request asks for; the runner has the same list.
#[derive(Debug, Clone, Copy)]
enum What {
    Take,
    Write,
    Read,
    Zero,
    Load,
    Launch,
}

/// The process. It ends when its standard input does.
pub(crate) struct Runner {
    child: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
    kernels: usize,
    /// What was said when it ended.
    ended: Option<String>,
}

impl Runner {
    /// Starts the program.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) fn start(program: &Path) -> Result<Runner> {
        let mut child = Command::new(program)
            // Memory is the device's until the process ends.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .env("UBSAN_OPTIONS", "print_stacktrace=0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| fault(format!("{}: {e}", program.display())))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(fault("a process without the pipes that were asked for"));
        };
        Ok(Runner { child, requests: Some(requests), answers, kernels: 0, ended: None })
    }

    fn ask(&mut self, what: What, numbers: [u64; 3], payload: &[&[u8]]) -> Result<(u64, Vec<u8>)> {
        if let Some(report) = &self.ended {
            return Err(fault(format!("the device was lost: {report}")));
        }
        self.exchange(what, numbers, payload).map_err(|e| {
            let report = self.report().unwrap_or_else(|| e.to_string());
            self.ended = Some(report.clone());
            fault(report)
        })
    }

    fn exchange(&mut self, what: What, [a, b, c]: [u64; 3], payload: &[&[u8]]) -> std::io::Result<(u64, Vec<u8>)> {
        let len = payload.iter().map(|part| part.len() as u64).sum::<u64>();
        let head: Vec<u8> = [what as u64, a, b, c, len].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let requests = self.requests.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        requests.write_all(&head)?;
        payload.iter().try_for_each(|part| requests.write_all(part))?;
        requests.flush()?;
        let mut number = || -> std::io::Result<u64> {
            let mut bytes = [0; 8];
            self.answers.read_exact(&mut bytes)?;
            Ok(u64::from_ne_bytes(bytes))
        };
        let (value, len) = (number()?, number()?);
        let mut bytes = vec![0; len as usize];
        self.answers.read_exact(&mut bytes)?;
        Ok((value, bytes))
    }

    /// What a sanitizer said before it ended the process: its summary, and the first line in a kernel's source.
    fn report(&mut self) -> Option<String> {
        self.requests = None;
        let mut text = String::new();
        self.child.stderr.take()?.read_to_string(&mut text).ok()?;
        let line = |what: &str| text.lines().find(|line| line.contains(what)).map(|line| line.trim().to_string());
        line("runtime error:").or_else(|| line("SUMMARY:")).or_else(|| line("ERROR:"))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.requests = None;
        // It ends by itself; there is nobody to tell where it does not.
        let _ = self.child.wait();
    }
}

impl Host for Runner {
    fn take(&mut self, bytes: u64) -> Result<u64> {
        match self.ask(What::Take, [bytes, 0, 0], &[])?.0 {
            0 => Err(fault(format!("the host has no {bytes} bytes of memory"))),
            at => Ok(at),
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.ask(What::Write, [at, 0, 0], &[bytes]).map(|_| ())
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<()> {
        let (_, read) = self.ask(What::Read, [at, bytes.len() as u64, 0], &[])?;
        bytes.copy_from_slice(&read);
        Ok(())
    }

    fn zero(&mut self, at: u64, len: u64) -> Result<()> {
        self.ask(What::Zero, [at, len, 0], &[]).map(|_| ())
    }

    fn load(&mut self, library: &Path) -> Result<Vec<Kernel>> {
        let path = library.to_str().ok_or_else(|| fault(format!("{}: not a name in UTF-8", library.display())))?;
        let (done, text) = self.ask(What::Load, [0; 3], &[path.as_bytes()])?;
        let text = String::from_utf8_lossy(&text);
        if done == 0 {
            return Err(fault(text));
        }
        let kernel = |(place, line): (usize, &str)| {
            let mut words = line.split(' ');
            let name = words.next()?.into();
            let (args_bytes, threads) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some(Kernel { name, args_bytes, threads, index: self.kernels + place })
        };
        let kernels: Vec<Kernel> = text.lines().enumerate().filter_map(kernel).collect();
        self.kernels += kernels.len();
        Ok(kernels)
    }

    fn launch(&mut self, kernel: &Kernel, launch: &Launch, seed: u64, _workers: usize) -> Result<()> {
        let order = Order::new(launch.grid, seed);
        let [x, y, z] = launch.grid;
        // emulated::Launch, whose last member the runner fills in.
        let mut described: Vec<u8> = [x, y, z, launch.threads, launch.shared, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
        described.extend([seed, 0].iter().flat_map(|n| n.to_ne_bytes()));
        let numbers = [kernel.index as u64, order.first, order.step];
        match self.ask(What::Launch, numbers, &[&described, &launch.args])? {
            (0, message) => Err(fault(String::from_utf8_lossy(&message))),
            _ => Ok(()),
        }
    }
}
