//! The charts of a forecast: families by size, erosion by age, recycling, fresh memory.

use super::words::{number, size, unit_name};
use crate::forecast::{AgeUnit, ClassCurve, CurvePoint, Forecast, GrowthPoint, Interval};
use crate::report::plot::{Axes, Chart, Plot, Point, ticks};

/// Curves drawn beside each other: all pages and the largest classes.
const MOST_CURVES: usize = 5;
/// Colours of the classes, the first for all pages.
const CURVES: [&str; MOST_CURVES] = ["copies", "differs", "fresh", "zygote", "ghost"];

/// What the family holds against its number of workers.
#[expect(clippy::cast_precision_loss, reason = "workers and bytes on an axis")]
pub(super) fn families(forecast: &Forecast) -> Option<Chart> {
    let mut families: Vec<_> = forecast.families.iter().collect();
    families.sort_by_key(|family| family.workers);
    let (first, last) = (families.first()?, families.last()?);
    if families.len() < 2 {
        return None;
    }
    let limit = forecast.budget.as_ref().map(|budget| budget.limit_bytes as f64);
    let most = families.iter().map(|family| family.unshared.max(family.distinct.high)).fold(0.0, f64::max);
    let shown_limit = limit.filter(|limit| *limit <= most * 2.0);
    let heights = ticks(most.max(shown_limit.unwrap_or(0.0) * 1.03), true);
    let axes = Axes { x: (f64::from(first.workers), f64::from(last.workers)), top: heights[4] };
    let x_ticks: Vec<_> = families
        .iter()
        .map(|family| (f64::from(family.workers), number(f64::from(family.workers))))
        .collect();
    let y_ticks = sizes(&heights);
    let mut plot = Plot::new(
        "Memory of the family by its number of workers",
        "What zygote and workers hold together, with its interval, and what they would hold if nothing were shared.",
        axes,
        &x_ticks,
        &y_ticks,
        "workers",
    );
    let points: Vec<Point> =
        families.iter().map(|family| (f64::from(family.workers), family.distinct)).collect();
    let unshared: Vec<_> =
        families.iter().map(|family| (f64::from(family.workers), family.unshared)).collect();
    plot.band(&points, "differs", false);
    plot.line(&unshared, "muted", "line thin", false);
    plot.line(&estimates(&points), "differs", "line thick", false);
    plot.dots(&estimates(&points), "differs");
    plot.name(f64::from(last.workers), last.unshared, &size(last.unshared), false);
    plot.name(f64::from(last.workers), last.distinct.estimate, &size(last.distinct.estimate), false);
    if let (Some(limit), Some(budget)) = (shown_limit, &forecast.budget) {
        let fit = budget.workers[1];
        plot.across(limit, &format!("limit {}", size(limit)));
        if (f64::from(first.workers)..=f64::from(last.workers)).contains(&(fit as f64)) {
            plot.upright(fit as f64, &format!("{fit} fit"), "limit");
        }
    }
    let key = [("differs", "the family, with its 95 % interval"), ("muted", "if nothing were shared")];
    Some(Chart {
        svg: plot.finish(),
        key: key.map(|(role, name)| (role.to_owned(), name.to_owned())).to_vec(),
    })
}

/// Which part of each class is broken, by the age of a worker.
pub(super) fn erosion(forecast: &Forecast) -> Option<Chart> {
    let curves = shown(&forecast.classes);
    let seen = forecast.fitted.last_age;
    let all = || curves.iter().flat_map(|curve| curve.observed.iter().chain(&curve.fitted));
    let last = all().map(|point| point.age).fold(0.0, f64::max);
    if last <= 0.0 {
        return None;
    }
    let heights = ticks(all().map(|point| point.broken.high).fold(0.01, f64::max).min(1.0), false);
    let top = heights[4].min(1.0);
    let y_ticks: Vec<_> =
        (0..=4).map(|quarter| top * f64::from(quarter) / 4.0).map(|value| (value, percent(value))).collect();
    let unit = forecast.fitted.age_unit;
    let mut plot = Plot::new(
        "Erosion by age",
        "The part of the inherited pages that is broken, as observed in steps and as fitted; beyond the mark the fit is extrapolated.",
        Axes { x: (0.0, last), top },
        &even(last),
        &y_ticks,
        &age_name(unit),
    );
    for (index, curve) in curves.iter().enumerate() {
        let (role, main) = (CURVES[index % MOST_CURVES], index == 0);
        let observed = points(&curve.observed);
        let fitted = points(&curve.fitted);
        if main {
            plot.band(&observed, role, true);
            plot.band(
                &fitted.iter().filter(|point| point.0 >= seen).copied().collect::<Vec<_>>(),
                role,
                false,
            );
        }
        plot.line(&estimates(&observed), role, if main { "line thick" } else { "line" }, true);
        let within: Vec<_> = estimates(&fitted).into_iter().filter(|point| point.0 <= seen).collect();
        let mut beyond: Vec<_> = within.last().copied().into_iter().collect();
        beyond.extend(estimates(&fitted).into_iter().filter(|point| point.0 > seen));
        plot.line(&within, role, "line thin", false);
        plot.line(&beyond, role, if main { "line dashed thick" } else { "line dashed" }, false);
    }
    if seen > 0.0 && seen < last * 0.999 {
        plot.upright(seen, "observed until here", "seen");
    }
    let key = curves.iter().enumerate().map(|(index, curve)| {
        let name = if curve.name == "all" { "all pages".to_owned() } else { curve.name.clone() };
        (CURVES[index % MOST_CURVES].to_owned(), name)
    });
    Some(Chart { key: key.collect(), svg: plot.finish() })
}

/// The mean memory of the family by the age at which workers are replaced.
#[expect(clippy::cast_precision_loss, reason = "an age on an axis")]
pub(super) fn recycling(forecast: &Forecast) -> Option<Chart> {
    let mut rows: Vec<_> =
        forecast.recycling.iter().filter(|row| row.age.is_finite() && row.age > 0.0).collect();
    rows.sort_by(|one, other| one.age.total_cmp(&other.age));
    let (first, last) = (rows.first()?, rows.last()?);
    if rows.len() < 2 {
        return None;
    }
    let position = |age: f64| age.max(f64::MIN_POSITIVE).log10();
    let heights = ticks(rows.iter().map(|row| row.distinct.high).fold(0.0, f64::max), true);
    let axes = Axes { x: (position(first.age), position(last.age)), top: heights[4] };
    let x_ticks: Vec<_> = rows.iter().map(|row| (position(row.age), number(row.age))).collect();
    let y_ticks = sizes(&heights);
    let unit = forecast.fitted.age_unit;
    let name = match unit {
        AgeUnit::Requests => "max_requests (logarithmic)".to_owned(),
        unit => format!("a worker is replaced after so many {} (logarithmic)", unit_name(unit)),
    };
    let mut plot = Plot::new(
        "Memory of the family by the age at which workers are replaced",
        "Mean memory of the family where workers are replaced at an age, staggered, with its interval.",
        axes,
        &x_ticks,
        &y_ticks,
        &name,
    );
    let points: Vec<Point> = rows.iter().map(|row| (position(row.age), row.distinct)).collect();
    plot.band(&points, "differs", false);
    plot.line(&estimates(&points), "differs", "line thick", false);
    plot.dots(&estimates(&points), "differs");
    if let Some(best) = forecast.best_max_requests {
        plot.upright(position(best as f64), &format!("best: {}", number(best as f64)), "limit");
    }
    Some(Chart { svg: plot.finish(), key: Vec::new() })
}

/// What a worker makes for itself, by its age.
pub(super) fn growth(forecast: &Forecast) -> Option<Chart> {
    #[expect(clippy::cast_precision_loss, reason = "bytes of a page")]
    let page = forecast.fitted.page_size as f64;
    let bytes = |points: &[GrowthPoint]| -> Vec<Point> {
        let of = |pages: Interval| Interval {
            low: pages.low * page,
            estimate: pages.estimate * page,
            high: pages.high * page,
        };
        points.iter().map(|point| (point.age, of(point.pages))).collect()
    };
    let (observed, fitted) = (bytes(&forecast.fresh.observed), bytes(&forecast.fresh.fitted));
    let last = fitted.last()?.0;
    let most = observed.iter().chain(&fitted).map(|point| point.1.high).fold(0.0, f64::max);
    if last <= 0.0 || most <= 0.0 {
        return None;
    }
    let heights = ticks(most, true);
    let mut plot = Plot::new(
        "Fresh memory of a worker by age",
        "What a worker makes for itself: dots were observed, the line is fitted, the band is where it may go.",
        Axes { x: (0.0, last), top: heights[4] },
        &even(last),
        &sizes(&heights),
        &age_name(forecast.fitted.age_unit),
    );
    plot.band(&fitted, "fresh", false);
    plot.line(&estimates(&fitted), "fresh", "line thick", false);
    plot.dots(&estimates(&observed), "fresh");
    let seen = forecast.fitted.last_age;
    if seen > 0.0 && seen < last * 0.999 {
        plot.upright(seen, "observed until here", "seen");
    }
    Some(Chart { svg: plot.finish(), key: Vec::new() })
}

/// All pages first, then the largest classes.
fn shown(classes: &[ClassCurve]) -> Vec<&ClassCurve> {
    let mut others: Vec<&ClassCurve> = classes.iter().skip(1).collect();
    others.sort_by_key(|curve| std::cmp::Reverse(curve.pages));
    classes.first().into_iter().chain(others).take(MOST_CURVES).collect()
}

fn points(curve: &[CurvePoint]) -> Vec<Point> {
    curve.iter().map(|point| (point.age, point.broken)).collect()
}

fn estimates(points: &[Point]) -> Vec<(f64, f64)> {
    points.iter().map(|(at, of)| (*at, of.estimate)).collect()
}

fn even(last: f64) -> Vec<(f64, String)> {
    let values = ticks(last, false).into_iter().filter(|value| *value <= last * 1.001);
    values.map(|value| (value, number(value))).collect()
}

fn percent(part: f64) -> String {
    let shown = part * 100.0;
    if shown.fract().abs() < 0.05 || shown >= 10.0 {
        format!("{shown:.0} %")
    } else {
        format!("{shown:.1} %")
    }
}

fn age_name(unit: AgeUnit) -> String {
    match unit {
        AgeUnit::Requests => "requests that the worker served".to_owned(),
        unit => format!("age of the worker in {}", unit_name(unit)),
    }
}

/// Sizes on an axis, all in the unit of the largest.
fn sizes(values: &[f64]) -> Vec<(f64, String)> {
    let most = values.iter().copied().fold(0.0, f64::max);
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    let (unit, power) = units.into_iter().find(|(_, power)| most >= 2_f64.powi(*power)).unwrap_or(("B", 0));
    let name = |value: f64| {
        let shown = format!("{:.1}", value / 2_f64.powi(power));
        format!("{} {unit}", shown.strip_suffix(".0").unwrap_or(&shown))
    };
    values.iter().map(|value| (*value, name(*value))).collect()
}

/// The colour of the n-th curve, as the table beside the chart shows it.
pub(super) fn curve_role(classes: &[ClassCurve], name: &str) -> Option<&'static str> {
    let at = shown(classes).iter().position(|curve| curve.name == name)?;
    Some(CURVES[at % MOST_CURVES])
}
