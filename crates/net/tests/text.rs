//! Mistakes in a net's text are named with line and column.

use net::{Net, Shape};

const GOOD: &str = r#"name = "small"
input = { c = 3, h = 8, w = 8 }

[[layer]]
name = "conv1"
conv = { k = 4, kernel = 3, weight = { init = { gaussian = 0.1 } }, bias = { init = { constant = 0 } } }

[[layer]]
name = "fc2"
linear = { k = 2, weight = { init = "fan_in" }, bias = { init = "fan_in" } }

[[layer]]
name = "prob"
softmax = {}
"#;

fn error_of(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    match Net::from_toml(&GOOD.replacen(from, to, 1)) {
        Ok(_) => panic!("`{to}` was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_good_text_is_good() {
    let net = Net::from_toml(GOOD).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(net.output_of(0), Shape { c: 4, h: 6, w: 6 });
    assert_eq!(net.classes(), 2);
}

#[test]
fn mistakes_have_positions() {
    for (from, to, position, words) in [
        ("kernel = 3", "kernl = 3", "line 6, column ", "kernl"),
        ("kernel = 3", "kernel = \"3\"", "line 6, column 26", "integer"),
        ("kernel = 3", "kernel = -3", "line 6, column 26", "-3"),
        ("kernel = 3", "kernel = [3, 3, 3]", "line 6, column ", "length"),
        ("kernel = 3", "kernel = 9", "line 4, column 1", "does not fit into 8 pixels"),
        ("kernel = 3", "kernel = 3, groups = 2", "line 4, column 1", "2 groups do not divide 3"),
        ("k = 4", "k = 0", "line 4, column 1", "size of 0"),
        ("k = 4", "k = 4000000000000000000", "line 4, column 1", "2^40"),
        ("name = \"fc2\"", "name = \"conv1\"", "line 8, column 1", "another layer has this name"),
        ("softmax = {}", "relu = {}", "line 12, column 1", "softmax is the last layer"),
        ("softmax = {}", "softmax = {}\nrelu = {}", "line 12, column 1", "two ops"),
        ("softmax = {}", "", "line 12, column 1", "no op"),
        ("h = 8", "h = 8.5", "line 2, column ", "float"),
    ] {
        let error = error_of(from, to);
        assert!(error.starts_with(position), "`{to}`: {error}");
        assert!(error.contains(words), "`{to}`: {error}");
        assert_eq!(error.lines().count(), 1, "`{to}`: {error}");
    }
}
