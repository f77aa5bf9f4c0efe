//! The cost of a fork as one HTML file: charts and tables.

use super::{ForkCost, Point, Spread, as_number, time};
use crate::error::Result;
use crate::report::html::{page, style};
use crate::report::plot::{Axes, Chart, Plot};
use crate::units::Bytes;
use minijinja::value::Serde;
use minijinja::{Value, context};

const TEMPLATE: &str = include_str!("fork_cost.html");
const STYLE: &str =
    concat!(include_str!("../html/style.css"), include_str!("../plot.css"), include_str!("fork_cost.css"));

/// The measurement as a self-contained HTML document.
pub fn render(cost: &ForkCost) -> Result<String> {
    let sections: Vec<Value> = [(false, "4 KiB pages"), (true, "Huge pages (madvise)")]
        .into_iter()
        .map(|(huge, title)| (title, cost.with_pages(huge).map(row).collect::<Vec<_>>(), chart(cost, huge)))
        .filter(|(_, rows, _)| !rows.is_empty())
        .map(|(title, rows, chart)| {
            let (svg, key) = chart.map_or_else(Default::default, |chart| (chart.svg, chart.key));
            context! { title, rows, key, chart => Value::from_safe_string(svg) }
        })
        .collect();
    page(
        "fork_cost.html",
        TEMPLATE,
        context! { style => style(STYLE), cost => Value::from(Serde(cost)), sections },
    )
}

/// Cells: a figure, and its quartiles.
fn row(point: &Point) -> Vec<(String, String)> {
    let spread =
        |spread: Spread| (time(spread.median), format!("{}–{}", time(spread.low), time(spread.high)));
    let times = [
        point.fork_call,
        point.fork_exit,
        point.fork_exec,
        point.vfork_exec,
        point.clone_exec,
        point.posix_spawn,
        point.copy_fault,
    ];
    let sizes = [point.bytes, point.page_table_bytes].map(|size| (Bytes(size).to_string(), String::new()));
    sizes.into_iter().chain(times.map(spread)).collect()
}

/// Lines of a chart: what it is, its colour, its times.
type Curve = (&'static str, &'static str, fn(&Point) -> u64);

const CURVES: [Curve; 4] = [
    ("fork and exec, until the program has ended", "copies", |point| point.fork_exec.median),
    ("posix_spawn, the same", "differs", |point| point.posix_spawn.median),
    ("fork alone, until it returns", "fresh", |point| point.fork_call.median),
    ("one copy fault", "zygote", |point| point.copy_fault.median),
];

/// Decades of the time axis, which begins at 100 ns.
const DECADES: u32 = 7;

/// Times by memory, both logarithmic: what grows with memory rises, what does not stays level.
fn chart(cost: &ForkCost, huge: bool) -> Option<Chart> {
    let points: Vec<&Point> = cost.with_pages(huge).collect();
    let (first, last) = (points.first()?, points.last()?);
    if first.bytes == last.bytes {
        return None;
    }
    let place = |point: &Point| as_number(point.bytes).log2();
    let height = |time: u64| (as_number(time.max(1)) / 100.0).log10().max(0.0);
    let slowest = points.iter().flat_map(|point| CURVES.map(|(_, _, of)| of(point))).max().unwrap_or(1);
    let top = height(slowest).ceil().max(1.0);
    let decades: Vec<(f64, String)> = (0..=DECADES)
        .map(|decade| (f64::from(decade), time(100 * 10_u64.pow(decade))))
        .filter(|(decade, _)| *decade <= top)
        .map(|(decade, name)| (decade, name.replace(".0 ", " ").replace(".00 ", " ")))
        .collect();
    let sizes: Vec<(f64, String)> = points
        .iter()
        .map(|point| (place(point), Bytes(point.bytes).to_string().replace(".0 ", " ")))
        .collect();
    let mut plot = Plot::new(
        "Time by memory",
        "How long each way to make a process takes, by the memory of the process that calls it.",
        Axes { x: (place(first), place(last)), top },
        &sizes,
        &decades,
        "memory of the process that calls (logarithmic)",
    );
    for (_, role, of) in CURVES {
        let line: Vec<(f64, f64)> = points.iter().map(|point| (place(point), height(of(point)))).collect();
        plot.line(&line, role, "line thick", false);
        plot.dots(&line, role);
    }
    // The two that the verdict compares; the others are in the table.
    for (of, below) in [(CURVES[0].2, false), (CURVES[1].2, true)] {
        plot.name(place(last), height(of(last)), &time(of(last)), below);
    }
    let key = CURVES.map(|(name, role, _)| (role.to_owned(), name.to_owned()));
    Some(Chart { svg: plot.finish(), key: key.to_vec() })
}
