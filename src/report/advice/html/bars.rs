//! Drawings of one row each, in percent of their width.

use super::super::words::size;
use super::super::{Estimate, Verdict};
use crate::report::palette::Role;
use std::fmt::Write;

/// Height of a bar and of its row, in CSS pixels.
const BAR: u32 = 20;
const ROW: u32 = 40;
const THIN: u32 = 26;

/// From which value to which a drawing reaches.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    pub fn of(low: f64, high: f64) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 } }
    }

    /// Where a value stands, in percent.
    fn at(self, value: f64) -> f64 {
        let at = (value - self.low) / (self.high - self.low) * 100.0;
        if at.is_finite() { at.clamp(0.0, 100.0) } else { 0.0 }
    }

    /// Parts of a bar (role, from, to), and a line that runs through every row at `limit`.
    pub fn bar(self, parts: &[(Role, f64, f64)], limit: f64) -> String {
        let mut svg = open(ROW);
        for (role, from, to) in parts {
            self.rectangle(&mut svg, (ROW - BAR) / 2, BAR, *role, *from, *to);
        }
        let at = self.at(limit);
        let _ = write!(
            svg,
            "<line class=\"limit\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"{ROW}\"/></svg>"
        );
        svg
    }

    /// Parts beside each other from zero on.
    pub fn stacked(self, parts: &[(&'static str, Role, f64)]) -> String {
        let mut svg = open(THIN);
        let mut from = 0.0;
        for (_, role, value) in parts {
            self.rectangle(&mut svg, 6, 14, *role, from, from + value.max(0.0));
            from += value.max(0.0);
        }
        svg + "</svg>"
    }

    /// A dot at the mean and a line over its interval.
    pub fn whisker(self, estimate: Estimate, verdict: Verdict) -> String {
        let mut svg = open(THIN);
        self.zero(&mut svg);
        let (low, mean, high) = (self.at(estimate.low), self.at(estimate.mean), self.at(estimate.high));
        let role = match verdict {
            Verdict::Helps => Role::Fresh,
            Verdict::Harms | Verdict::Failed => Role::Copies,
            Verdict::Baseline | Verdict::DoesNotHelp => Role::Muted,
        };
        let colour = format!("var(--{})", role.css_name());
        let _ = write!(
            svg,
            "<line x1=\"{low:.2}%\" x2=\"{high:.2}%\" y1=\"13\" y2=\"13\" style=\"stroke:{colour}\" stroke-width=\"2.5\"/>"
        );
        for end in [low, high] {
            let _ = write!(
                svg,
                "<line x1=\"{end:.2}%\" x2=\"{end:.2}%\" y1=\"5\" y2=\"21\" style=\"stroke:{colour}\" stroke-width=\"2\"/>"
            );
        }
        let _ = write!(svg, "<circle cx=\"{mean:.2}%\" cy=\"13\" r=\"4\" style=\"fill:{colour}\"/></svg>");
        svg
    }

    /// Only the line at zero.
    pub fn empty(self) -> String {
        let mut svg = open(THIN);
        self.zero(&mut svg);
        svg + "</svg>"
    }

    /// Zero and the largest round value, named.
    pub fn axis(self) -> String {
        let mut svg = open(THIN);
        let round = round_below(self.high);
        for value in [0.0, round] {
            let at = self.at(value);
            let anchor = if at > 75.0 {
                "end"
            } else if at < 8.0 {
                "start"
            } else {
                "middle"
            };
            let name = if value == 0.0 { "0".to_owned() } else { size(value).replace(".0 ", " ") };
            let _ = write!(svg, "<text x=\"{at:.2}%\" y=\"17\" text-anchor=\"{anchor}\">{name}</text>");
        }
        svg + "</svg>"
    }

    fn zero(self, svg: &mut String) {
        let at = self.at(0.0);
        let _ = write!(svg, "<line class=\"zero\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"{THIN}\"/>");
    }

    fn rectangle(self, svg: &mut String, top: u32, height: u32, role: Role, from: f64, to: f64) {
        if to <= from {
            return;
        }
        let (from, to) = (self.at(from), self.at(to));
        let _ = write!(
            svg,
            "<rect x=\"{from:.2}%\" width=\"{:.2}%\" y=\"{top}\" height=\"{height}\" style=\"fill:var(--{})\"/>",
            (to - from).max(0.3),
            role.css_name()
        );
    }
}

/// Hidden from screen readers: the figures stand beside it.
fn open(height: u32) -> String {
    format!("<svg class=\"row\" width=\"100%\" height=\"{height}\" aria-hidden=\"true\" focusable=\"false\">")
}

/// The largest of 1, 2 and 5 times a power of ten MiB at or below a value.
fn round_below(value: f64) -> f64 {
    let mebibytes = value / f64::from(1 << 20);
    if mebibytes <= 0.0 {
        return value.max(0.0);
    }
    let power = 10_f64.powf(mebibytes.log10().floor());
    let digit = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power <= mebibytes).unwrap_or(1.0);
    digit * power * f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_where_it_belongs_and_never_outside() {
        let scale = Scale::of(-10.0, 30.0);
        for (value, at) in [(-10.0, 0.0), (0.0, 25.0), (30.0, 100.0), (99.0, 100.0), (f64::NAN, 0.0)] {
            assert!((scale.at(value) - at).abs() < 1e-9, "{value}");
        }
        assert!(Scale::of(5.0, 5.0).at(5.0).abs() < 1e-9, "a scale of nothing");
    }

    #[test]
    fn round_values_are_the_largest_that_fit() {
        let mebibyte = f64::from(1 << 20);
        for (value, round) in [(223.0, 200.0), (99.0, 50.0), (10.0, 10.0), (0.7, 0.5)] {
            assert!((round_below(value * mebibyte) / mebibyte - round).abs() < 1e-9, "{value}");
        }
    }
}
