//! Line charts as SVG: panels side by side, readable on light and dark ground, no script.

use std::fmt::Write;

const PANEL_W: f64 = 440.0;
const PANEL_H: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 46.0;

/// One line of a chart.
pub(crate) struct Series<'a> {
    /// Its name in the legend.
    pub(crate) name: &'a str,
    /// Which of the colours, `0..4`.
    pub(crate) colour: usize,
    /// Whether each point is marked.
    pub(crate) dots: bool,
    /// (x, y), in the order of x; values that are not finite interrupt the line.
    pub(crate) points: Vec<(f64, f64)>,
}

/// One chart.
pub(crate) struct Panel<'a> {
    /// What is shown, above the chart.
    pub(crate) title: &'a str,
    /// What x counts.
    pub(crate) x: &'a str,
    /// Behind each number of the y axis.
    pub(crate) unit: &'a str,
    /// The lines, the most important last (it is drawn on top).
    pub(crate) series: Vec<Series<'a>>,
}

const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #374151 } .title { font-weight: 600; font-size: 14px; fill: #111827 }
.ground { fill: #ffffff } .grid { stroke: #e5e7eb } .axis { stroke: #9ca3af } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.s0 { stroke: #9ca3af } .s1 { stroke: #2563eb } .s2 { stroke: #ea580c } .s3 { stroke: #059669 }
.d0 { fill: #9ca3af } .d1 { fill: #2563eb } .d2 { fill: #ea580c } .d3 { fill: #059669 }
@media (prefers-color-scheme: dark) {
text { fill: #d1d5db } .title { fill: #f9fafb } .ground { fill: #111827 } .grid { stroke: #1f2937 } .axis { stroke: #6b7280 }
.s0 { stroke: #6b7280 } .s1 { stroke: #60a5fa } .s2 { stroke: #fb923c } .s3 { stroke: #34d399 }
.d0 { fill: #6b7280 } .d1 { fill: #60a5fa } .d2 { fill: #fb923c } .d3 { fill: #34d399 }
}";

/// The panels side by side as an SVG document.
pub(crate) fn svg(heading: &str, panels: &[Panel]) -> String {
    let (width, height) = (panels.len() as f64 * PANEL_W, PANEL_H + 24.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <title>{0}</title>\n<style>\n{STYLE}\n</style>\n<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"22\">{0}</text>\n",
        escaped(heading)
    );
    for (i, panel) in panels.iter().enumerate() {
        put(&mut out, format_args!("<g transform=\"translate({} 24)\">\n", i as f64 * PANEL_W));
        panel.draw(&mut out);
        out += "</g>\n";
    }
    out += "</svg>\n";
    out
}

impl Panel<'_> {
    fn draw(&self, out: &mut String) {
        let finite = || self.series.iter().flat_map(|s| &s.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        let x = Axis::exact(finite().map(|p| p.0), LEFT, PANEL_W - RIGHT);
        let y = Axis::rounded(finite().map(|p| p.1), PANEL_H - BOTTOM, TOP);
        self.draw_frame(&x, &y, out);
        self.draw_legend(out);
        for series in &self.series {
            series.draw(&x, &y, out);
        }
    }

    fn draw_frame(&self, x: &Axis, y: &Axis, out: &mut String) {
        let (bottom, right) = (PANEL_H - BOTTOM, PANEL_W - RIGHT);
        for (value, at) in y.ticks() {
            put(out, format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n"));
            let label = format!("{}{}", y.label(value), self.unit);
            put(out, format_args!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n", LEFT - 8.0, at + 4.0));
        }
        for (value, at) in x.ticks() {
            put(
                out,
                format_args!("<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{}\"/>\n", bottom + 4.0),
            );
            let label = x.label(value);
            put(out, format_args!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n", bottom + 18.0));
        }
        put(out, format_args!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n"));
        let middle = (LEFT + right) / 2.0;
        put(
            out,
            format_args!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", bottom + 36.0, escaped(self.x)),
        );
    }

    /// The panel's title, and behind it each line's name under its colour.
    fn draw_legend(&self, out: &mut String) {
        put(out, format_args!("<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{}</text>\n", TOP - 36.0, escaped(self.title)));
        let mut at = LEFT;
        for Series { name, colour, .. } in &self.series {
            put(out, format_args!("<rect class=\"d{colour}\" x=\"{at:.1}\" y=\"{}\" width=\"14\" height=\"3\"/>\n", TOP - 21.0));
            put(out, format_args!("<text x=\"{:.1}\" y=\"{}\">{}</text>\n", at + 20.0, TOP - 15.0, escaped(name)));
            at += 34.0 + 6.4 * name.chars().count() as f64;
        }
    }
}

impl Series<'_> {
    fn draw(&self, x: &Axis, y: &Axis, out: &mut String) {
        let colour = self.colour;
        let mut path = String::new();
        let mut pen_down = false;
        for &(px, py) in &self.points {
            if !(px.is_finite() && py.is_finite()) {
                pen_down = false;
                continue;
            }
            put(&mut path, format_args!("{}{:.1} {:.1}", if pen_down { "L" } else { "M" }, x.at(px), y.at(py)));
            pen_down = true;
        }
        if !path.is_empty() {
            put(out, format_args!("<path class=\"line s{colour}\" d=\"{path}\"/>\n"));
        }
        let marked = self.points.iter().filter(|(px, py)| self.dots && px.is_finite() && py.is_finite());
        for &(px, py) in marked {
            put(out, format_args!("<circle class=\"d{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\"/>\n", x.at(px), y.at(py)));
        }
    }
}

/// Values from 0 to `most` on pixels from `start` to `end`.
struct Axis {
    most: f64,
    step: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// An axis that ends at the largest of `values`, which are not negative.
    fn exact(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Axis {
        let most = values.fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let power = 10f64.powf((most / 5.0).log10().floor());
        let steps = [1.0, 2.0, 5.0].map(|digit| digit * power);
        let step = steps.into_iter().find(|step| most / step <= 5.0).unwrap_or(10.0 * power);
        Axis { most, step, start, end }
    }

    /// An axis that ends at the first tick behind all of `values`.
    fn rounded(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Axis {
        let axis = Axis::exact(values, start, end);
        Axis { most: (axis.most / axis.step).ceil() * axis.step, ..axis }
    }

    fn at(&self, value: f64) -> f64 {
        self.start + (self.end - self.start) * value / self.most
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, f64)> {
        // Half a thousandth of a step forgives the rounding of `most / step`.
        (0..=(self.most / self.step + 5e-4) as usize).map(|i| (i as f64 * self.step, self.at(i as f64 * self.step)))
    }

    fn label(&self, value: f64) -> String {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    }
}

/// Writing to a string cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: Vec<(f64, f64)>) -> String {
        svg(
            "a < b & c",
            &[Panel { title: "loss", x: "epoch", unit: "", series: vec![Series { name: "n", colour: 1, dots: true, points }] }],
        )
    }

    #[test]
    fn axes_hold_every_value_and_have_few_round_ticks() {
        for most in [1e-6, 0.07, 0.5, 1.0, 2.303, 6.9, 10.0, 99.0, 12345.0] {
            let axis = Axis::rounded([0.0, most].into_iter(), 0.0, 100.0);
            let (last, at) = axis.ticks().last().expect("an axis begins with 0");
            assert!(last >= most * (1.0 - 1e-12), "{most} lies behind the last tick {last}");
            assert!((at - 100.0).abs() < 1e-9, "the last tick of {most} stands at {at}");
            assert!((3..=6).contains(&axis.ticks().count()), "{most} has {} ticks", axis.ticks().count());
            let exact = Axis::exact([0.0, most].into_iter(), 0.0, 100.0);
            assert!((exact.at(most) - 100.0).abs() < 1e-9 && exact.ticks().all(|(_, at)| at <= 100.0 + 1e-9));
        }
    }

    #[test]
    fn values_that_are_not_finite_interrupt_the_line() {
        let text = panel(vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 0.5)]);
        assert_eq!(text.matches('M').count(), 2, "{text}");
        assert_eq!(text.matches("<circle").count(), 3);
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn nothing_to_show_is_still_a_chart_and_text_is_escaped() {
        let text = panel(vec![]);
        assert!(text.contains("a &lt; b &amp; c") && text.ends_with("</svg>\n"));
        assert!(!text.contains("<path"));
    }
}
