//! A forecast as one HTML file: the verdict, the charts, the tables behind them, what they rest on.

use super::charts;
use super::words::{age, break_even, interval, number, part, part_of, size, unit_name, verdict};
use crate::error::Result;
use crate::forecast::{ClassCurve, Forecast, Rate};
use crate::report::html::{page, style};
use crate::report::plot::Chart;
use crate::report::summary::grouped;
use crate::units::Bytes;
use minijinja::value::Serde;
use minijinja::{Value, context};

const TEMPLATE: &str = include_str!("forecast.html");
const STYLE: &str =
    concat!(include_str!("../html/style.css"), include_str!("../plot.css"), include_str!("forecast.css"));
const SCRIPT: &str = concat!("'use strict';\n(() => {\n", include_str!("../html/page.js"), "})();");

/// The forecast as a self-contained HTML document.
pub fn render(forecast: &Forecast) -> Result<String> {
    let [first, second] = verdict(forecast);
    let fitted = &forecast.fitted;
    let unit = fitted.age_unit;
    page(
        "forecast.html",
        TEMPLATE,
        context! {
            style => style(STYLE),
            script => Value::from_safe_string(SCRIPT.to_owned()),
            forecast => Value::from(Serde(forecast)),
            first, second,
            age => age(forecast.age, unit),
            unit => unit_name(unit),
            last_age => age(fitted.last_age, unit),
            extrapolated => forecast.age > fitted.last_age * 1.001,
            families => families(forecast),
            family_chart => chart(charts::families(forecast)),
            erosion_chart => chart(charts::erosion(forecast)),
            recycling_chart => chart(charts::recycling(forecast)),
            growth_chart => chart(charts::growth(forecast)),
            classes => forecast.classes.iter().map(|curve| class(forecast, curve)).collect::<Vec<_>>(),
            recycling => recycling(forecast),
            break_even => forecast.break_even.iter().map(|one| (break_even(one), one.because.clone())).collect::<Vec<_>>(),
            rung => fitted.rung.map(|rung| (rung.name(), rung.explanation())),
            page_tables => Bytes(fitted.page_table_bytes).to_string(),
            inherited => Bytes(fitted.inherited_pages.saturating_mul(fitted.page_size)).to_string(),
        },
    )
}

fn chart(chart: Option<Chart>) -> Option<Value> {
    let chart = chart?;
    Some(context! { svg => Value::from_safe_string(chart.svg), key => chart.key })
}

fn families(forecast: &Forecast) -> Vec<Value> {
    let row = |family: &crate::forecast::FamilySize| {
        context! {
            workers => grouped(u64::from(family.workers)),
            distinct => size(family.distinct.estimate), interval => interval(family.distinct),
            page_tables => size(family.page_tables), unshared => size(family.unshared),
            saving => size(family.saving.estimate), part => part(family.saving.estimate / family.unshared.max(1.0)),
        }
    };
    forecast.families.iter().map(row).collect()
}

fn class(forecast: &Forecast, curve: &ClassCurve) -> Value {
    let unit = forecast.fitted.age_unit;
    let half_life = curve.half_life.map(|life| {
        (age(life.estimate, unit), format!("95 % CI {} to {}", number(life.low), number(life.high)))
    });
    let plateau = |pages: f64| part_of(pages, curve.pages);
    context! {
        name => if curve.name == "all" { "all pages" } else { curve.name.as_str() },
        role => charts::curve_role(&forecast.classes, &curve.name),
        pages => grouped(curve.pages),
        plateau => plateau(curve.plateau.estimate),
        plateau_interval => format!("95 % CI {} to {}", plateau(curve.plateau.low), plateau(curve.plateau.high)),
        half_life,
        rates => curve.rates.iter().map(|rate| said(*rate, unit_name(unit))).collect::<Vec<_>>(),
    }
}

/// One component of a mixture in words.
fn said(rate: Rate, unit: &str) -> String {
    let weight = part(rate.weight);
    match rate.rate {
        Some(speed) if speed.is_finite() && speed > 0.0 => {
            format!("{weight} after {} {unit} on average", number(1.0 / speed))
        }
        Some(speed) if speed <= 0.0 => format!("{weight} never"),
        _ => format!("{weight} at once"),
    }
}

fn recycling(forecast: &Forecast) -> Vec<Value> {
    let row = |row: &crate::forecast::Recycling| {
        #[expect(clippy::cast_precision_loss, reason = "an age")]
        let best = forecast.best_max_requests.is_some_and(|best| (best as f64 - row.age).abs() < 0.5);
        context! {
            age => number(row.age), distinct => size(row.distinct.estimate),
            interval => interval(row.distinct), gain => part(row.gain), best,
        }
    };
    forecast.recycling.iter().map(row).collect()
}
