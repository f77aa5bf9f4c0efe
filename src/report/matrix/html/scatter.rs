//! Every cell as a point: what the model expects to the right, what was measured upwards.

use super::to_number;
use crate::report::matrix::{CellStep, Matrix};
use std::fmt::Write;

/// Width and height of the plot, in CSS pixels, and the room for labels beside it.
const SIDE: f64 = 380.0;
const LEFT: f64 = 58.0;
const BELOW: f64 = 44.0;
/// Room for half of the last label.
const RIGHT: f64 = 24.0;

/// The drawing as SVG, whose colours are CSS variables.
pub(super) fn draw(matrix: &Matrix) -> String {
    let points: Vec<(f64, &CellStep)> = matrix
        .cells
        .iter()
        .flat_map(|cell| &cell.steps)
        .filter_map(|step| Some((step.predicted?, step)))
        .collect();
    let most =
        points.iter().map(|(predicted, step)| predicted.max(to_number(step.private))).fold(10.0, f64::max);
    let decades = most.log10().ceil();
    let at = |pages: f64| SIDE * pages.max(1.0).log10() / decades;
    let (width, height) = (SIDE + LEFT + RIGHT, SIDE + BELOW + 8.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Measured pages against predicted pages, both logarithmic; points on the diagonal are predicted exactly.\">"
    );
    let mut decade = 0.0;
    while decade <= decades {
        let pages = 10_f64.powf(decade);
        grid(&mut svg, at(pages), pages);
        decade += 1.0;
    }
    let (x, y) = (LEFT, SIDE + 8.0);
    let _ = write!(svg, "<path d=\"M{x} {y}L{} 8\" class=\"exact\"/>", LEFT + SIDE);
    for (predicted, step) in &points {
        let class = if step.is_predicted() == Some(true) { "right" } else { "wrong" };
        let (x, y) = (LEFT + at(*predicted), 8.0 + SIDE - at(to_number(step.private)));
        let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" class=\"{class}\"/>");
    }
    let middle = LEFT + SIDE / 2.0;
    let _ = write!(
        svg,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">predicted pages</text><text transform=\"translate(12 {}) rotate(-90)\" text-anchor=\"middle\">measured pages</text></svg>",
        height - 6.0,
        8.0 + SIDE / 2.0
    );
    svg
}

fn grid(svg: &mut String, at: f64, pages: f64) {
    let (x, y) = (LEFT + at, 8.0 + SIDE - at);
    let (right, bottom) = (LEFT + SIDE, 8.0 + SIDE);
    let label = if pages >= 1000.0 { format!("{:.0} k", pages / 1000.0) } else { format!("{pages:.0}") };
    let _ = write!(
        svg,
        "<path d=\"M{LEFT} {y:.1}H{right}M{x:.1} 8V{bottom}\" class=\"grid\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
        LEFT - 8.0,
        y + 4.0,
        bottom + 18.0
    );
}
