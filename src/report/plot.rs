//! Lines, bands and marks over two axes, as SVG whose colours are CSS variables.

use crate::forecast::Interval;
use minijinja::HtmlEscape;
use std::fmt::Write;

/// Width and height, and the room for labels, in CSS pixels.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 310.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 26.0;
const BELOW: f64 = 50.0;
/// Room for one character of a label.
const CHARACTER: f64 = 9.0;

/// A point with its interval.
pub(super) type Point = (f64, Interval);

/// A chart and its key: (colour, name).
pub(super) struct Chart {
    pub svg: String,
    pub key: Vec<(String, String)>,
}

/// What values the axes hold.
pub(super) struct Axes {
    pub x: (f64, f64),
    /// From zero to this.
    pub top: f64,
}

/// A drawing in the making.
pub(super) struct Plot {
    axes: Axes,
    svg: String,
}

impl Plot {
    /// Axes with ticks: (value, name).
    pub fn new(
        title: &str,
        description: &str,
        axes: Axes,
        x_ticks: &[(f64, String)],
        y_ticks: &[(f64, String)],
        x_name: &str,
    ) -> Self {
        let svg = format!(
            "<svg role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\"><title>{}</title><desc>{}</desc>",
            HtmlEscape(title),
            HtmlEscape(description)
        );
        let mut plot = Self { axes, svg };
        for (value, name) in y_ticks {
            let y = plot.y(*value);
            let _ = write!(
                plot.svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/><text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 5.0
            );
        }
        let mut free = f64::MIN;
        for (value, name) in x_ticks {
            let x = plot.x(*value);
            let half = name.chars().map(|_| CHARACTER / 2.0).sum::<f64>();
            let middle = x.clamp(LEFT, (WIDTH - half).max(LEFT));
            if middle - half > free {
                plot.text(middle, HEIGHT - BELOW + 22.0, "middle", "tick", name);
                free = middle + half + 6.0;
            }
        }
        plot.text(LEFT.midpoint(WIDTH - RIGHT), HEIGHT - 5.0, "middle", "tick", x_name);
        plot
    }

    fn x(&self, value: f64) -> f64 {
        let (low, high) = self.axes.x;
        let at = (value - low) / (high - low).max(f64::MIN_POSITIVE);
        LEFT + finite(at).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let at = finite(value / self.axes.top.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        HEIGHT - BELOW - at * (HEIGHT - BELOW - TOP)
    }

    /// The area between the ends of the intervals.
    pub fn band(&mut self, points: &[Point], role: &str, steps: bool) {
        if points.len() < 2 {
            return;
        }
        let upper: Vec<(f64, f64)> = points.iter().map(|(at, of)| (*at, of.high)).collect();
        let lower: Vec<(f64, f64)> = points.iter().map(|(at, of)| (*at, of.low)).collect();
        let mut corners = stairs(&upper, steps);
        corners.extend(stairs(&lower, steps).into_iter().rev());
        let path = self.path(&corners);
        let _ = write!(self.svg, "<path d=\"{path}Z\" style=\"fill:var(--{role});fill-opacity:.2\"/>");
    }

    /// The estimates as a line; `class` gives thickness and dashes.
    pub fn line(&mut self, points: &[(f64, f64)], role: &str, class: &str, steps: bool) {
        if points.len() < 2 {
            return;
        }
        let path = self.path(&stairs(points, steps));
        let _ = write!(self.svg, "<path class=\"{class}\" d=\"{path}\" style=\"stroke:var(--{role})\"/>");
    }

    /// Dots on a line.
    pub fn dots(&mut self, points: &[(f64, f64)], role: &str) {
        for (at, value) in points {
            let (x, y) = (self.x(*at), self.y(*value));
            let _ = write!(
                self.svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" style=\"fill:var(--{role})\"/>"
            );
        }
    }

    /// A dashed line across at a height, with its name.
    pub fn across(&mut self, value: f64, name: &str) {
        let y = self.y(value);
        let _ = write!(self.svg, "<path class=\"limit\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT);
        self.text(LEFT + 6.0, y - 6.0, "start", "said", name);
    }

    /// A line upwards at a place, with its name above.
    pub fn upright(&mut self, value: f64, name: &str, class: &str) {
        let x = self.x(value);
        let _ = write!(self.svg, "<path class=\"{class}\" d=\"M{x:.1} {TOP}V{}\"/>", HEIGHT - BELOW);
        let half = name.chars().map(|_| CHARACTER / 2.0).sum::<f64>();
        let middle = x.clamp(half, (WIDTH - half).max(half));
        self.text(middle, TOP - 9.0, "middle", "said", name);
    }

    /// A name beside the end of a line: below or above it, inside the drawing.
    pub fn name(&mut self, at: f64, value: f64, name: &str, below: bool) {
        let (x, y) = (self.x(at), self.y(value));
        let y = if below { y + 20.0 } else { y - 9.0 };
        self.text(x - 4.0, y.clamp(TOP + 10.0, HEIGHT - BELOW - 6.0), "end", "said", name);
    }

    pub fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let _ = write!(
            self.svg,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            HtmlEscape(text)
        );
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for (index, (at, value)) in points.iter().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", self.x(*at), self.y(*value));
        }
        path
    }
}

/// The corners of a line that stays at a value until the next one.
fn stairs(points: &[(f64, f64)], steps: bool) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::with_capacity(points.len() * 2);
    for point in points {
        if let (true, Some(last)) = (steps, corners.last().copied()) {
            corners.push((point.0, last.1));
        }
        corners.push(*point);
    }
    corners
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Five values from zero to a round one at or above `most`; `base` is 10 for counts, 2 for bytes.
pub(super) fn ticks(most: f64, binary: bool) -> Vec<f64> {
    let unit = if binary { 2_f64.powf(10.0 * (most.max(1.0).log2() / 10.0).floor()) } else { 1.0 };
    let scaled = most.max(f64::MIN_POSITIVE) / unit;
    let power = 10_f64.powf(scaled.log10().floor());
    let nice = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 4.8, 6.0, 8.0, 10.0];
    let top =
        nice.into_iter().map(|digit| digit * power).find(|top| *top >= scaled * 0.999).unwrap_or(scaled);
    (0..=4).map(|quarter| top * unit * f64::from(quarter) / 4.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_reach_what_is_drawn_and_little_more() {
        for (most, binary) in
            [(1.0, false), (37.0, false), (1.7e9, true), (300.0 * 1_048_576.0, true), (950.0, false)]
        {
            let ticks = ticks(most, binary);
            let top = ticks[4];
            assert!(ticks[0].abs() < 1e-9 && top >= most * 0.999 && top <= most * 1.6, "{most}: {top}");
        }
    }

    #[test]
    fn a_step_stays_until_the_next() {
        assert_eq!(stairs(&[(0.0, 0.0), (1.0, 5.0)], true), [(0.0, 0.0), (1.0, 0.0), (1.0, 5.0)]);
        assert_eq!(stairs(&[(0.0, 0.0), (1.0, 5.0)], false), [(0.0, 0.0), (1.0, 5.0)]);
    }

    #[test]
    fn what_is_no_number_stays_inside_the_drawing() {
        let mut plot = Plot::new("t", "d", Axes { x: (0.0, 0.0), top: 0.0 }, &[], &[], "x");
        plot.line(&[(f64::NAN, f64::INFINITY), (1.0, 1.0)], "ink", "line", true);
        let svg = plot.finish();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
