//! The static charts, drawn by plotters as SVG whose colours are CSS variables.
//!
//! Rows of stacked bars carry most of the report: names read from left to right, the lengths share
//! one scale, and the total stands at the end of each bar.

use super::palette::{Role, themed};
use super::summary::clipped;
use crate::error::{Context, Result};
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{DrawingArea, IntoDrawingArea};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, ShapeStyle, TextStyle};

/// Width of every chart, in CSS pixels.
const WIDTH: i32 = 500;
const ROW: i32 = 30;
const BAR: i32 = 16;
const LABELS: i32 = 138;
/// Room for the longest text at the end of a bar: at least this, and so much for each character.
const TOTALS: i32 = 126;
const CHARACTER: i32 = 9;

/// One row of a bar chart.
pub(super) struct Row {
    /// What the row is about.
    pub name: String,
    /// Parts of the bar, from left to right.
    pub parts: Vec<(Role, f64)>,
    /// Length of the track behind the bar: the most there could be.
    pub track: f64,
    /// Text at the end.
    pub total: String,
}

/// Rows of stacked bars on one scale.
pub(super) fn bars(title: &str, description: &str, rows: &[Row]) -> Result<String> {
    let height = ROW * i32::try_from(rows.len()).unwrap_or(1).max(1) + 4;
    let longest = rows
        .iter()
        .map(|row| row.track.max(row.parts.iter().map(|part| part.1).sum()))
        .fold(f64::MIN_POSITIVE, f64::max);
    let widest = rows.iter().map(|row| row.total.chars().count()).max().unwrap_or(0);
    let totals = (i32::try_from(widest).unwrap_or(0) * CHARACTER + 8).clamp(TOTALS, WIDTH / 2);
    let scale = f64::from(WIDTH - LABELS - totals) / longest;
    draw(title, description, height, |canvas| {
        for (index, row) in (0..).zip(rows) {
            let top = index * ROW + (ROW - BAR) / 2;
            let middle = top + BAR / 2;
            canvas.text((LABELS - 10, middle), &clipped(&row.name, 17), Role::Ink, HPos::Right)?;
            canvas.rectangle((LABELS, top), (LABELS + pixels(row.track * scale), top + BAR), Role::Grid)?;
            let mut at = 0.0;
            for &(role, value) in &row.parts {
                let (from, to) = (LABELS + pixels(at * scale), LABELS + pixels((at + value) * scale));
                let visible = if value > 0.0 { to.max(from + 1) } else { from };
                canvas.rectangle((from, top), (visible, top + BAR), role)?;
                at += value;
            }
            let end = LABELS + pixels(at.max(row.track) * scale);
            canvas.text((end + 8, middle), &row.total, Role::Muted, HPos::Left)?;
        }
        Ok(())
    })
}

/// One line of an erosion curve.
pub(super) struct Line {
    /// Points: (position on the axis of steps or requests, bytes).
    pub points: Vec<(f64, f64)>,
    /// Drawn thick, with dots.
    pub emphasis: bool,
}

/// Lines over named positions. `ticks` are (position, name); `y_label` names a height.
pub(super) fn lines(
    title: &str,
    description: &str,
    lines: &[Line],
    ticks: &[(f64, String)],
    y_label: impl Fn(f64) -> String,
) -> Result<String> {
    const HEIGHT: i32 = 300;
    const LEFT: i32 = 78;
    const BOTTOM: i32 = 34;
    const TOP: i32 = 14;
    let points = || lines.iter().flat_map(|line| &line.points);
    let highest = nice_ceiling(points().map(|point| point.1).fold(0.0, f64::max));
    let (first, last) =
        ticks.iter().fold((f64::MAX, f64::MIN), |(low, high), (at, _)| (low.min(*at), high.max(*at)));
    let span = (last - first).max(f64::MIN_POSITIVE);
    let x = |at: f64| LEFT + pixels((at - first) / span * f64::from(WIDTH - LEFT - 34));
    let y = |value: f64| HEIGHT - BOTTOM - pixels(value / highest * f64::from(HEIGHT - BOTTOM - TOP));
    draw(title, description, HEIGHT, |canvas| {
        for quarter in 0..=4 {
            let value = highest * f64::from(quarter) / 4.0;
            canvas.line(&[(LEFT, y(value)), (WIDTH - 8, y(value))], Role::Grid, 1)?;
            canvas.text((LEFT - 10, y(value)), &y_label(value), Role::Muted, HPos::Right)?;
        }
        let mut free_from = i32::MIN;
        for (at, name) in ticks {
            let name = clipped(name, 14);
            let half = i32::try_from(name.chars().count()).unwrap_or(0) * 4;
            if x(*at) - half > free_from {
                canvas.text((x(*at), HEIGHT - BOTTOM + 18), &name, Role::Muted, HPos::Center)?;
                free_from = x(*at) + half + 4;
            }
        }
        for line in lines {
            let path: Vec<(i32, i32)> = line.points.iter().map(|&(at, value)| (x(at), y(value))).collect();
            let (role, thickness) = if line.emphasis { (Role::Copies, 3) } else { (Role::Gone, 1) };
            canvas.line(&path, role, thickness)?;
            for &point in path.iter().filter(|_| line.emphasis) {
                canvas.dot(point, role)?;
            }
        }
        Ok(())
    })
}

/// The next of 1, 2, 4, 8 × a power of two at or above `value`, so that quarters are round MiB.
fn nice_ceiling(value: f64) -> f64 {
    let mut ceiling = 4096.0;
    while ceiling < value {
        ceiling *= if ceiling * 1.5 >= value && ceiling * 0.5 >= 4096.0 { 1.5 } else { 2.0 };
    }
    ceiling
}

fn draw(
    title: &str,
    description: &str,
    height: i32,
    paint: impl FnOnce(&Canvas<'_>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let canvas = Canvas(SVGBackend::with_string(&mut svg, size).into_drawing_area());
        paint(&canvas)?;
        canvas.0.present().doing(WHAT)?;
    }
    Ok(labelled(&themed(&svg), title, description))
}

const WHAT: &str = "cannot draw a chart";

/// Gives the drawing a name and a description for those who do not see it.
fn labelled(svg: &str, title: &str, description: &str) -> String {
    let body = svg.find('>').map_or("", |end| &svg[end + 1..]);
    let view = svg.find("viewBox=").map_or("", |start| svg[start..].split('>').next().unwrap_or(""));
    let body = body
        .replace(" opacity=\"1\"", "")
        .replace(" font-family=\"sans-serif\"", "")
        .replace(" stroke=\"none\"", "");
    format!(
        "<svg role=\"img\" {view}><title>{}</title><desc>{}</desc>{body}",
        escaped(title),
        escaped(description)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[expect(clippy::cast_possible_truncation, reason = "within the width of a chart")]
fn pixels(value: f64) -> i32 {
    value.round().clamp(-1.0e6, 1.0e6) as i32
}

struct Canvas<'a>(DrawingArea<SVGBackend<'a>, Shift>);

impl Canvas<'_> {
    fn rectangle(&self, from: (i32, i32), to: (i32, i32), role: Role) -> Result<()> {
        if to.0 <= from.0 {
            return Ok(());
        }
        self.0.draw(&Rectangle::new([from, to], role.placeholder().filled())).doing(WHAT)
    }

    fn line(&self, path: &[(i32, i32)], role: Role, thickness: u32) -> Result<()> {
        let style =
            ShapeStyle { color: role.placeholder().to_rgba(), filled: false, stroke_width: thickness };
        self.0.draw(&PathElement::new(path.to_vec(), style)).doing(WHAT)
    }

    fn dot(&self, at: (i32, i32), role: Role) -> Result<()> {
        self.0.draw(&Circle::new(at, 4, role.placeholder().filled())).doing(WHAT)
    }

    fn text(&self, at: (i32, i32), text: &str, role: Role, anchor: HPos) -> Result<()> {
        let font = ("sans-serif", 16.0).into_font().style(FontStyle::Normal);
        let colour = role.placeholder();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(anchor, VPos::Center));
        self.0.draw(&Text::new(printable(text), at, style)).doing(WHAT)
    }
}

/// Characters that XML forbids would end the whole document.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
