//! What this machine can do at most, measured: the yardsticks for the engine's speed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use net::Result;

use crate::Isa;
use crate::arena::{Arena, Slot};
use crate::executor::{fault, target, thread_count};
use crate::kernels::{Target, peak};
use crate::threads::Threads;

/// What the machine itself can do; all threads together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// f32 operations a second in registers, a multiply-add counting as two.
    pub flops_per_s: f64,
    /// Bytes read a second from a buffer that no cache holds.
    pub read_bytes_per_s: f64,
    /// Bytes a second in copying such a buffer: those read and those written, each once.
    pub copy_bytes_per_s: f64,
}

/// How long each peak is measured.
const TIME: Duration = Duration::from_millis(200);
/// How long a task of arithmetic takes at least: starting tasks is nothing beside it.
const TASK: Duration = Duration::from_millis(1);
/// Tasks of arithmetic for each thread: whoever is held up does fewer.
const TASKS: usize = 8;
/// Values in memory, 512 MiB: several times what caches hold.
const LEN: usize = 128 << 20;
/// Memory that [`measure`] allocates.
pub const MEMORY_BYTES: u64 = (LEN * size_of::<f32>()) as u64;
/// Values of a task that reads or copies.
const CHUNK: usize = 256 << 10;

/// Measures for about a second, with as many threads (1 to 1024; `None`: one for each core) and the instruction set that
/// [`crate::Options`] would give the engine. Each figure is the best of several runs: what else the machine does only lowers it.
///
/// # Errors
/// Where the number of threads is out of range, the CPU lacks the instruction set, or there is too little memory (512 MiB).
pub fn measure(threads: Option<usize>, isa: Option<Isa>) -> Result<Peaks> {
    let (target, count) = (target(isa)?, thread_count(threads)?);
    let threads = Threads::new(count).map_err(|error| fault(format!("starting {count} threads: {error}")))?;
    let flops_per_s = arithmetic(&threads, target);
    let memory = Arena::new(LEN).ok_or_else(|| fault("no memory: measuring its speed needs 512 MiB"))?;
    let (read_bytes_per_s, copy_bytes_per_s) = bandwidths(&threads, target, memory);
    Ok(Peaks { flops_per_s, read_bytes_per_s, copy_bytes_per_s })
}

/// Operations a second.
fn arithmetic(threads: &Threads, target: Target) -> f64 {
    let width = peak::width(target.isa());
    // The values go to b / (1 − a) = 1, far from infinities and denormals.
    let (a, b) = (black_box(0.75), black_box(0.25));
    let mut x = vec![0.5; width * threads.count() * TASKS];
    let mut rounds = 1000;
    loop {
        let start = Instant::now();
        peak::chains(target, target.isa(), rounds, a, b, &mut x[..width]);
        if start.elapsed() >= TASK {
            break;
        }
        rounds *= 2;
    }
    let flops = 2 * rounds * x.len();
    best_rate(flops, || {
        threads.chunks(&mut x, width, &mut [], |_, x, _| peak::chains(target, target.isa(), rounds, a, b, x));
        black_box(&x);
    })
}

/// Bytes a second in reading and in copying.
fn bandwidths(threads: &Threads, target: Target, mut memory: Arena) -> (f64, f64) {
    let all = Slot { offset: 0, len: LEN };
    let (lower, upper) = (all.first(LEN / 2), Slot { offset: LEN / 2, len: LEN / 2 });
    // Pages that nobody has written to are all one page, which a cache holds.
    threads.chunks(memory.get_mut(all), CHUNK, &mut [], |_, part, _| part.fill(1.0));
    let mut sums = vec![0.0; LEN / CHUNK * peak::SUMS];
    let values = memory.get(all);
    let read = best_rate(size_of_val(values), || {
        threads.chunks(&mut sums, peak::SUMS, &mut [], |task, sums, _| {
            peak::sum(target, &values[task * CHUNK..][..CHUNK], sums);
        });
        black_box(&sums);
    });
    let ([from], [to]) = memory.split([lower], [upper]);
    let copy = best_rate(2 * size_of_val(from), || {
        threads.chunks(to, CHUNK, &mut [], |task, to, _| to.copy_from_slice(&from[task * CHUNK..][..CHUNK]));
        black_box(&to);
    });
    (read, copy)
}

/// `amount` a second in the fastest of several runs.
fn best_rate(amount: usize, mut run: impl FnMut()) -> f64 {
    let (begin, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 3 || begin.elapsed() < TIME {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    amount as f64 / best
}
