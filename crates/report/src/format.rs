//! Numbers as people read them.

use std::time::Duration;

/// A count with its digits in groups of three: `61,090,496`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large count in three digits and a word: `61.1 million`, `1.14 billion`; small counts as [`count`].
pub fn about(n: u64) -> String {
    let (scaled, word) = match n {
        0..1_000_000 => return count(n),
        1_000_000..1_000_000_000 => (n as f64 / 1e6, "million"),
        1_000_000_000.. => (n as f64 / 1e9, "billion"),
    };
    let decimals = if scaled < 10.0 { 2 } else { usize::from(scaled < 100.0) };
    format!("{scaled:.decimals$} {word}")
}

/// `n` of a thing: `1 image`, `1,000 images`.
pub fn of(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A time in its two largest units: `42 s`, `3 min 12 s`, `5 h 2 min`, `2 d 4 h`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// A share of 0 to 1 in per cent with two decimals, `–` where it is not a number.
pub fn share(share: f64) -> String {
    if share.is_finite() { format!("{:.2} %", 100.0 * share) } else { "–".into() }
}

/// A rate in three digits or more: `0.72`, `48.3`, `1,203`.
pub fn rate(per_s: f64) -> String {
    match per_s {
        x if !x.is_finite() || x < 0.0 => "–".into(),
        x if x < 10.0 => format!("{x:.2}"),
        x if x < 100.0 => format!("{x:.1}"),
        x => count(x.round() as u64),
    }
}

/// How long what remains takes at so much a second: `3 min 12 s left`; `– left` where that cannot be said.
pub fn left(remaining: f64, per_s: f64) -> String {
    let time = Duration::try_from_secs_f64(remaining / per_s);
    format!("{} left", time.map_or_else(|_| "–".into(), duration))
}

/// A bar of `width` cells, filled to `share` (0 to 1) in eighths of a cell.
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * width as f64 * 8.0).round() as usize;
    let used = eighths / 8 + usize::from(!eighths.is_multiple_of(8));
    format!("{}{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8], " ".repeat(width - used))
}

/// Rows as lines, each column as wide as its widest cell; the columns in `right` end-aligned.
pub fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], c: usize| row.get(c).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = (0..columns).map(|c| rows.iter().map(|row| cell(row, c)).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(c, cell)| {
            let width = widths[c];
            if right.contains(&c) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(61_090_496), "61,090,496");
        assert_eq!(about(145_578), "145,578");
        assert_eq!(about(1_116_490), "1.12 million");
        assert_eq!(about(60_965_224), "61.0 million");
        assert_eq!(about(1_135_000_000), "1.14 billion");
        assert_eq!(of(1, "image", "images"), "1 image");
        assert_eq!(share(1.0 / 3.0), "33.33 %");
        assert_eq!(share(f64::NAN), "–");
        assert_eq!(rate(1203.4), "1,203");
        assert_eq!(rate(f64::NAN), "–");
    }

    #[test]
    fn times_show_two_units() {
        let text = |s: f64| duration(Duration::from_secs_f64(s));
        assert_eq!([text(0.25), text(59.6), text(192.0)], ["0.2 s", "1 min 0 s", "3 min 12 s"]);
        assert_eq!([left(384.0, 2.0), left(1.0, 0.0), left(0.0, 0.0)], ["3 min 12 s left", "– left", "– left"]);
        assert_eq!([text(3600.0 * 5.0 + 125.0), text(86400.0 * 2.0 + 3600.0 * 4.5)], ["5 h 2 min", "2 d 4 h"]);
    }

    #[test]
    fn a_bar_is_as_wide_as_asked_whatever_the_share() {
        for share in [-1.0, 0.0, 0.01, 0.333, 0.5, 0.999, 1.0, 2.0, f64::NAN] {
            assert_eq!(bar(share, 12).chars().count(), 12, "share {share}");
        }
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(1.0 / 16.0, 2), "▏ ");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_string(), "1".into()], vec!["bcd".into(), "1,000".into()]];
        assert_eq!(table(&rows, &[1]), "a        1\nbcd  1,000\n");
    }
}
