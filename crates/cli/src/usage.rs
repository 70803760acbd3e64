//! What this process has used up, as Linux tells; nothing is known elsewhere.

use std::fs;

/// CPU time of all threads so far, in milliseconds: on a busy machine it says more than the clock on the wall.
pub(crate) fn cpu_ms() -> Option<f64> {
    cpu_ms_in(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The most memory that has been held so far.
pub(crate) fn peak_bytes() -> Option<u64> {
    bytes_of("VmHWM", &fs::read_to_string("/proc/self/status").ok()?)
}

/// Fields 14 and 15 of proc_pid_stat(5), user and system time in hundredths of a second; the name before them may hold spaces.
fn cpu_ms_in(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut hundredths = || fields.next()?.parse::<f64>().ok();
    Some((hundredths()? + hundredths()?) * 10.0)
}

/// The bytes in a line `key: N kB`, the form of the memory files in /proc.
pub(crate) fn bytes_of(key: &str, text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 3 0 1 2 3";
        assert_eq!(cpu_ms_in(stat), Some(2810.0));
        assert_eq!(cpu_ms_in("7 (a"), None);
        assert_eq!(bytes_of("VmHWM", "VmPeak:\t  9 kB\nVmHWM:\t   2048 kB\n"), Some(2 << 20));
        assert_eq!(bytes_of("VmHWM", "VmHWMx: 1 kB"), None);
    }
}
