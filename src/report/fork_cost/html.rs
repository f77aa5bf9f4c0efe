//! The cost of a fork as one HTML file: chart and table.

use super::{ForkCost, Point, Spread, as_number, time};
use crate::error::Result;
use crate::report::charts::{Line, lines};
use crate::report::html::{page, style};
use crate::units::Bytes;
use minijinja::value::Serde;
use minijinja::{Value, context};

const TEMPLATE: &str = include_str!("fork_cost.html");
const STYLE: &str = include_str!("../html/style.css");

/// The measurement as a self-contained HTML document.
pub fn render(cost: &ForkCost) -> Result<String> {
    let tables: Vec<(&str, Vec<Vec<String>>, String)> =
        [(false, "4 KiB pages"), (true, "Huge pages (madvise)")]
            .into_iter()
            .map(|(huge, title)| Ok((title, cost.with_pages(huge).map(row).collect(), chart(cost, huge)?)))
            .collect::<Result<_>>()?;
    let sections: Vec<Value> = tables
        .into_iter()
        .filter(|(_, rows, _)| !rows.is_empty())
        .map(|(title, rows, svg)| context! { title, rows, chart => Value::from_safe_string(svg) })
        .collect();
    page(
        "fork_cost.html",
        TEMPLATE,
        context! { style => style(STYLE), cost => Value::from(Serde(cost)), sections },
    )
}

fn row(point: &Point) -> Vec<String> {
    let spread =
        |spread: Spread| format!("{} ({}–{})", time(spread.median), time(spread.low), time(spread.high));
    let times = [
        point.fork_call,
        point.fork_exit,
        point.fork_exec,
        point.vfork_exec,
        point.clone_exec,
        point.posix_spawn,
        point.copy_fault,
    ];
    let sizes = [Bytes(point.bytes).to_string(), Bytes(point.page_table_bytes).to_string()];
    sizes.into_iter().chain(times.map(spread)).collect()
}

/// Fork and exec, thick, beside `posix_spawn`, thin.
fn chart(cost: &ForkCost, huge: bool) -> Result<String> {
    let points: Vec<&Point> = cost.with_pages(huge).collect();
    let positions = || (0_u32..).map(f64::from);
    let of = |median: fn(&Point) -> u64, emphasis| Line {
        points: positions().zip(points.iter().map(|point| as_number(median(point)))).collect(),
        emphasis,
    };
    let ticks: Vec<(f64, String)> =
        positions().zip(points.iter().map(|point| Bytes(point.bytes).to_string())).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a label in nanoseconds")]
    let label = |value: f64| time(value as u64);
    let drawn = [of(|point| point.fork_exec.median, true), of(|point| point.posix_spawn.median, false)];
    lines("Time by memory", "fork and exec grows with memory; posix_spawn does not", &drawn, &ticks, label)
}
