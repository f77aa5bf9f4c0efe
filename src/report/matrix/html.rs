//! A matrix as one HTML file: the verdict, a heat map, the model against the measurement, details.
//!
//! It needs no script. Policies are rows, the cheapest first, so that the map darkens downwards.

use super::legend::{HOW_TO_READ, verdict};
use super::text::whole;
use super::{CellStep, Matrix, Policy, Program};
use crate::error::Result;
use crate::report::html::{page, style};
use crate::units::Bytes;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

mod details;
mod scatter;

const TEMPLATE: &str = include_str!("matrix.html");
const STYLE: &str = concat!(include_str!("../html/style.css"), include_str!("matrix.css"));

/// How strong the darkest colour of the map is, in percent.
const DARKEST: f64 = 68.0;

/// One policy as a row of the map.
#[derive(Serialize)]
struct Row {
    name: String,
    description: String,
    /// Private memory after the last steps of all programs, and its part of the most of any policy.
    total: Option<String>,
    percent: f64,
    cells: Vec<Square>,
}

/// One cell of the map.
#[derive(Serialize)]
struct Square {
    /// Nothing where it was not measured.
    count: Option<u64>,
    predicted: Option<String>,
    /// How strong its colour is, in percent.
    heat: f64,
    is_best: bool,
    is_wrong: bool,
    title: String,
    /// Begins a program.
    is_first: bool,
}

/// The matrix as a self-contained HTML document.
pub fn render(matrix: &Matrix) -> Result<String> {
    let sentences = verdict(matrix);
    let programs: Vec<&Program> =
        matrix.programs.iter().filter(|program| !program.steps.is_empty()).collect();
    page(
        "matrix.html",
        TEMPLATE,
        context! {
            style => style(STYLE),
            matrix => Value::from(Serde(matrix)),
            sentences => sentences,
            how_to_read => HOW_TO_READ,
            rung => matrix.rung.explanation(),
            rows => Value::from(Serde(rows(matrix))),
            programs => Value::from(Serde(programs)),
            scatter => Value::from_safe_string(scatter::draw(matrix)),
            agreement => Value::from(Serde((matrix.agreement().right, matrix.agreement().all))),
            details => Value::from(Serde(details::of(matrix))),
            seconds => format!("{:.0}", matrix.seconds),
        },
    )
}

/// Policies with a cell: those that stand beside each other first, by what they cost.
fn rows(matrix: &Matrix) -> Vec<Row> {
    let standings = matrix.standings();
    let most = standings.iter().map(|standing| standing.private).max().unwrap_or(0).max(1);
    let ranked = standings.iter().map(|standing| (standing.policy, Some(standing.private)));
    let is_ranked = |policy: &Policy| standings.iter().any(|standing| standing.policy == policy);
    let others = matrix.measured_policies().into_iter().filter(|policy| !is_ranked(policy));
    let row = |(policy, total): (&Policy, Option<u64>)| Row {
        name: policy.name.clone(),
        description: policy.description.clone(),
        total: total.map(|pages| Bytes::of_pages(pages).to_string()),
        percent: total.map_or(0.0, |pages| to_number(pages) * 100.0 / to_number(most)),
        cells: squares(matrix, policy),
    };
    ranked.chain(others.map(|policy| (policy, None))).map(row).collect()
}

fn squares(matrix: &Matrix, policy: &Policy) -> Vec<Square> {
    let most = matrix.cells.iter().flat_map(|cell| &cell.steps).map(|step| step.private).max().unwrap_or(0);
    let square = |(program, index): (&Program, usize)| {
        let step = matrix.at(&program.name, index, &policy.name);
        Square {
            count: step.map(|step| step.private),
            predicted: step.and_then(|step| step.predicted).map(whole),
            heat: step.map_or(0.0, |step| heat(step.private, most)),
            is_best: matrix.best(program, index).is_some_and(|best| best.policy == policy),
            is_wrong: step.and_then(CellStep::is_predicted) == Some(false),
            title: step.map_or_else(|| "not measured".into(), |step| title(program, step, policy)),
            is_first: index == 0,
        }
    };
    matrix.rows().map(square).collect()
}

/// A logarithmic scale from white at ten pages to the darkest colour at the most there are.
fn heat(pages: u64, most: u64) -> f64 {
    let floor = 10_f64.ln();
    let part = (to_number(pages.max(1)).ln() - floor) / (to_number(most.max(11)).ln() - floor);
    (part.clamp(0.0, 1.0) * DARKEST).round()
}

fn title(program: &Program, step: &CellStep, policy: &Policy) -> String {
    let copied = Bytes::of_pages(step.private);
    format!(
        "{}, {}, {}: {} private pages ({copied}), {} broken and {} fresh",
        program.name, step.step, policy.name, step.private, step.broken, step.fresh
    )
}

#[expect(clippy::cast_precision_loss, reason = "page counts stay far below 2^52")]
fn to_number(pages: u64) -> f64 {
    pages as f64
}
