//! Work that is done by many threads and taken in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::{Result, workers};

/// Results that may wait for their turn, for each thread. More hides a slow image better and takes more memory.
const WAITING: usize = 4;

/// What threads share.
struct Work<T> {
    state: Mutex<State<T>>,
    /// A result came, or a thread ended.
    came: Condvar,
    /// There is room for another result.
    room: Condvar,
}

struct State<T> {
    /// The next number to work on.
    next: usize,
    /// The number of the first of `results`.
    first: usize,
    results: VecDeque<Option<T>>,
    /// Nobody begins anything any more.
    over: bool,
    /// A thread ended by a panic.
    panicked: bool,
}

/// Tells the others where its thread ends by a panic: nobody must wait for it.
struct Notice<'a, T>(&'a Work<T>);

/// Computes `make(state, n)` for each n of `range` on `threads` threads, each with a `state` of its own, and hands the results
/// to `take` on this thread, in order. At most four results a thread are there at a time.
///
/// # Errors
/// The first of `take`, which ends it; or where there are no threads to be had.
pub(super) fn in_order<T: Send, S>(
    range: Range<usize>,
    threads: usize,
    state: impl Fn() -> S + Sync,
    make: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, range.len().max(1));
    let room = WAITING * threads;
    let state_of_work =
        State { next: range.start, first: range.start, results: VecDeque::with_capacity(room), over: false, panicked: false };
    let work = Work { state: Mutex::new(state_of_work), came: Condvar::new(), room: Condvar::new() };
    thread::scope(|scope| {
        let worker = || {
            let _notice = Notice(&work);
            let mut own = state();
            while let Some(number) = work.claim(range.end, room) {
                work.put(number, make(&mut own, number));
            }
        };
        workers::start(scope, threads, || worker)?;
        let mut result = Ok(());
        for number in range.clone() {
            let Some(made) = work.wait() else { break };
            result = take(number, made);
            if result.is_err() {
                break;
            }
        }
        work.end();
        result
    })
}

impl<T> Work<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next number to work on, once there is room for its result; `None` at the end.
    fn claim(&self, end: usize, room: usize) -> Option<usize> {
        let mut state = self.lock();
        while !state.over && state.next < end && state.next >= state.first + room {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.over || state.next >= end {
            return None;
        }
        state.next += 1;
        state.results.push_back(None);
        Some(state.next - 1)
    }

    fn put(&self, number: usize, made: T) {
        let mut state = self.lock();
        let place = number - state.first;
        state.results[place] = Some(made);
        drop(state);
        if place == 0 {
            self.came.notify_one();
        }
    }

    /// The next result in order; `None` where a thread failed.
    fn wait(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(Some(_)) = state.results.front() {
                let made = state.results.pop_front().flatten();
                state.first += 1;
                drop(state);
                self.room.notify_one();
                return made;
            }
            if state.panicked {
                return None;
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self) {
        self.lock().over = true;
        self.room.notify_all();
    }
}

impl<T> Drop for Notice<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut state = self.0.lock();
            (state.panicked, state.over) = (true, true);
            drop(state);
            self.0.came.notify_one();
            self.0.room.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_and_few_of_them_wait() {
        for threads in [1, 3, 8] {
            let (made, mut taken) = (AtomicUsize::new(0), Vec::new());
            let ended = in_order(
                10..210,
                threads,
                || (),
                |(), n| {
                    made.fetch_add(1, Ordering::Relaxed);
                    if n % 7 == 0 {
                        thread::sleep(std::time::Duration::from_micros(300));
                    }
                    n * n
                },
                |n, square| {
                    assert_eq!(square, n * n);
                    assert!(made.load(Ordering::Relaxed) <= taken.len() + 1 + WAITING * threads);
                    taken.push(n);
                    Ok(())
                },
            );
            assert!(ended.is_ok());
            assert_eq!(taken, (10..210).collect::<Vec<_>>());
        }
        assert!(in_order(5..5, 4, || (), |(), n| n, |_, _| panic!("there is nothing to take")).is_ok());
    }

    #[test]
    fn the_first_error_ends_it() {
        let mut taken = 0;
        let ended = in_order(
            0..1000,
            3,
            || (),
            |(), n| n,
            |n, _| {
                taken += 1;
                if n == 20 { Err(Error::Empty { purpose: "go on" }) } else { Ok(()) }
            },
        );
        assert!(matches!(ended, Err(Error::Empty { .. })));
        assert_eq!(taken, 21);
    }

    #[test]
    fn a_panic_of_a_thread_is_passed_on_instead_of_waited_for() {
        let run = || in_order(0..100, 2, || (), |(), n| assert_ne!(n, 30), |_, ()| Ok(()));
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
