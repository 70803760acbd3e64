//! A pool of threads that runs numbered tasks.
//!
//! What a task is never depends on how many threads there are, and two tasks never write the same value; so the bits of a
//! result do not depend on the number of threads, nor on who runs which task. Starting tasks allocates nothing.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::kernels::MatMut;

/// How often a thread looks for work or its end before it sleeps, where every thread has a core.
const SPINS: usize = 4000;

type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// What the workers are to run: a task function whose lifetime has been erased, and how many tasks.
#[derive(Clone, Copy)]
struct Job {
    run: *const Task<'static>,
    tasks: usize,
}

// SAFETY: the pointer is only followed while `Threads::run` is in progress, and what it points to is `Sync`.
unsafe impl Send for Job {}

struct State {
    job: Option<Job>,
    stop: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Jobs started so far.
    started: AtomicUsize,
    start: Condvar,
    /// The next task of the job that nobody has taken.
    next: AtomicUsize,
    /// Workers that have not finished the job.
    busy: AtomicUsize,
    finished: Condvar,
    panicked: AtomicBool,
    /// How often to look before sleeping.
    spins: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, job: Job, worker: usize) {
        // SAFETY: `Threads::run` keeps the function alive until every worker has finished the job.
        let run = unsafe { &*job.run };
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= job.tasks {
                return;
            }
            run(task, worker);
        }
    }

    fn serve(&self, worker: usize) {
        let mut seen = 0;
        loop {
            self.spin_until(|| self.started.load(Ordering::Acquire) != seen);
            let job = {
                let mut state = self.lock();
                while self.started.load(Ordering::Acquire) == seen && !state.stop {
                    state = self.start.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.stop {
                    return;
                }
                seen = self.started.load(Ordering::Acquire);
                state.job
            };
            if let Some(job) = job
                && catch_unwind(AssertUnwindSafe(|| self.work(job, worker))).is_err()
            {
                self.panicked.store(true, Ordering::Relaxed);
            }
            if self.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
                let _state = self.lock();
                self.finished.notify_one();
            }
        }
    }

    /// Whether it is done, after a short while.
    fn spin_until(&self, done: impl Fn() -> bool) -> bool {
        (0..self.spins).any(|_| {
            std::hint::spin_loop();
            done()
        })
    }
}

/// The pool. The thread that calls is one of its workers, number 0.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
    /// Only one thread at a time may start tasks.
    not_sync: PhantomData<Cell<()>>,
}

impl Threads {
    /// A pool of `count` threads, the caller's included.
    pub(crate) fn new(count: usize) -> std::io::Result<Threads> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared {
            spins: if count <= cores { SPINS } else { 0 },
            state: Mutex::new(State { job: None, stop: false }),
            started: AtomicUsize::new(0),
            start: Condvar::new(),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            finished: Condvar::new(),
            panicked: AtomicBool::new(false),
        });
        let mut threads = Threads { shared: shared.clone(), handles: Vec::with_capacity(count), not_sync: PhantomData };
        for worker in 1..count {
            let shared = shared.clone();
            let name = format!("cpu-{worker}");
            threads.handles.push(std::thread::Builder::new().name(name).spawn(move || shared.serve(worker))?);
        }
        // Starting a thread allocates: let all of them have started.
        threads.run(count + 1, &|_, _| {});
        Ok(threads)
    }

    /// How many threads, the caller's included.
    pub(crate) fn count(&self) -> usize {
        self.handles.len() + 1
    }

    /// Calls `run(task, worker)` once for each task, and returns when all are done. A worker runs one task at a time.
    fn run(&self, tasks: usize, run: &Task<'_>) {
        if tasks <= 1 || self.handles.is_empty() {
            return (0..tasks).for_each(|task| run(task, 0));
        }
        // SAFETY: only the lifetime changes; the reference is not used after this function, which waits for all workers.
        let erased = unsafe { std::mem::transmute::<*const Task<'_>, *const Task<'static>>(run) };
        let job = Job { run: erased, tasks };
        {
            let mut state = self.shared.lock();
            state.job = Some(job);
            self.shared.next.store(0, Ordering::Relaxed);
            self.shared.busy.store(self.handles.len(), Ordering::Relaxed);
            self.shared.started.fetch_add(1, Ordering::Release);
        }
        self.shared.start.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| self.shared.work(job, 0)));
        let idle = || self.shared.busy.load(Ordering::Acquire) == 0;
        if !self.shared.spin_until(idle) {
            let mut state = self.shared.lock();
            while !idle() {
                state = self.shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!self.shared.panicked.swap(false, Ordering::Relaxed), "a task panicked");
    }

    /// Runs `tasks` tasks; each has a share of `scratch` to itself, `scratch.len() / count` values of unspecified contents.
    pub(crate) fn tasks(&self, tasks: usize, scratch: &mut [f32], run: impl Fn(usize, &mut [f32]) + Sync) {
        let share = scratch.len() / self.count();
        let scratch = Pieces(scratch.as_mut_ptr());
        self.run(tasks, &|task, worker| {
            // SAFETY: `worker < count`, so shares are inside `scratch` and disjoint, and a worker runs one task at a time.
            run(task, unsafe { scratch.piece(worker * share, share) });
        });
    }

    /// One task for each run of `chunk` values of `out`, the last possibly shorter; a task writes its run.
    pub(crate) fn chunks<T: Send>(
        &self,
        out: &mut [T],
        chunk: usize,
        scratch: &mut [f32],
        run: impl Fn(usize, &mut [T], &mut [f32]) + Sync,
    ) {
        let len = out.len();
        let out = Pieces(out.as_mut_ptr());
        self.tasks(len.div_ceil(chunk), scratch, |task, scratch| {
            let begin = task * chunk;
            // SAFETY: runs are inside `out` and disjoint, and each task is run once.
            run(task, unsafe { out.piece(begin, chunk.min(len - begin)) }, scratch);
        });
    }

    /// [`Threads::chunks`] over two slices that have equally many runs.
    pub(crate) fn chunks2<A: Send, B: Send>(
        &self,
        a: (&mut [A], usize),
        b: (&mut [B], usize),
        scratch: &mut [f32],
        run: impl Fn(usize, &mut [A], &mut [B], &mut [f32]) + Sync,
    ) {
        let (a_len, b_len) = (a.0.len(), b.0.len());
        assert_eq!(a_len.div_ceil(a.1), b_len.div_ceil(b.1));
        let (a_all, b_all) = (Pieces(a.0.as_mut_ptr()), Pieces(b.0.as_mut_ptr()));
        self.tasks(a_len.div_ceil(a.1), scratch, |task, scratch| {
            let (a_begin, b_begin) = (task * a.1, task * b.1);
            // SAFETY: runs are inside their slices and disjoint, and each task is run once.
            let (a_run, b_run) =
                unsafe { (a_all.piece(a_begin, a.1.min(a_len - a_begin)), b_all.piece(b_begin, b.1.min(b_len - b_begin))) };
            run(task, a_run, b_run, scratch);
        });
    }

    /// One task for each block of `rows × cols` of a matrix, row by row of blocks, the last of each possibly smaller;
    /// `run(row, col, block, scratch)` writes the block whose first element is `(row, col)`.
    pub(crate) fn blocks(
        &self,
        out: MatMut<'_>,
        rows: usize,
        cols: usize,
        scratch: &mut [f32],
        run: impl Fn(usize, usize, MatMut<'_>, &mut [f32]) + Sync,
    ) {
        let (down, across) = (out.rows().div_ceil(rows), out.cols().div_ceil(cols));
        self.tasks(down * across, scratch, |task, scratch| {
            let (row, col) = (task / across * rows, task % across * cols);
            let (height, width) = (rows.min(out.rows() - row), cols.min(out.cols() - col));
            // SAFETY: blocks of the grid are disjoint, and each task is run once.
            run(row, col, unsafe { out.shared_block(row..row + height, col..col + width) }, scratch);
        });
    }

    /// One task for each run of up to `rows` rows that stays within a part of `part` rows of a matrix;
    /// `run(row, block, scratch)` writes the block that begins at `row`.
    pub(crate) fn parts(
        &self,
        out: MatMut<'_>,
        part: usize,
        rows: usize,
        scratch: &mut [f32],
        run: impl Fn(usize, MatMut<'_>, &mut [f32]) + Sync,
    ) {
        let runs = part.div_ceil(rows);
        self.tasks(out.rows() / part * runs, scratch, |task, scratch| {
            let (first, row) = (task / runs * part, task % runs * rows);
            let height = rows.min(part - row);
            // SAFETY: runs of rows are disjoint, and each task is run once.
            run(first + row, unsafe { out.shared_block(first + row..first + row + height, 0..out.cols()) }, scratch);
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.started.fetch_add(1, Ordering::Release);
        self.shared.start.notify_all();
        for handle in self.handles.drain(..) {
            // A worker only ends by being told to: panics of tasks are caught.
            let _ = handle.join();
        }
    }
}

/// A slice whose disjoint pieces go to different tasks.
struct Pieces<T>(*mut T);

// SAFETY: `piece` hands out disjoint pieces only, and a `&mut [T]` may go to another thread where `T: Send`.
unsafe impl<T: Send> Sync for Pieces<T> {}

impl<T> Pieces<T> {
    /// # Safety
    /// The piece is inside the slice, which is mutably borrowed for `'a`, and disjoint from every other piece in use.
    unsafe fn piece<'a>(&self, begin: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(begin), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_visited_once_by_any_number_of_threads() {
        for count in [1, 2, 5] {
            let threads = Threads::new(count).unwrap();
            for round in 0..200 {
                let mut out = vec![0; 103];
                threads.chunks(&mut out, 10, &mut [], |task, chunk, _| chunk.iter_mut().for_each(|x| *x += task + round));
                assert!(out.iter().enumerate().all(|(i, &x)| x == i / 10 + round));
            }
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_survives() {
        let threads = Threads::new(3).unwrap();
        let failed = catch_unwind(AssertUnwindSafe(|| threads.tasks(8, &mut [], |task, _| assert!(task != 5))));
        assert!(failed.is_err());
        let mut out = [0; 8];
        threads.chunks(&mut out, 1, &mut [], |task, chunk, _| chunk[0] = task);
        assert_eq!(out, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
