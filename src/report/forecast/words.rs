//! The sentences that a forecast opens with, and its figures as people read them.

use crate::forecast::{AgeUnit, BreakEven, Forecast, Interval};
use crate::report::summary::grouped;
use crate::units::Bytes;

/// Two sentences: what the largest family will hold, then how many fit or what recycling is worth.
pub(in crate::report) fn verdict(forecast: &Forecast) -> [String; 2] {
    [first(forecast), second(forecast)]
}

fn first(forecast: &Forecast) -> String {
    let Some(largest) = forecast.families.iter().max_by_key(|family| family.workers) else {
        return "No family size was asked for.".to_owned();
    };
    let part = largest.saving.estimate / largest.unshared.max(1.0) * 100.0;
    format!(
        "{} will hold {} after {} ({}); sharing saves {:.0} % of what they would hold alone.",
        workers(largest.workers),
        size(largest.distinct.estimate),
        age(forecast.age, forecast.fitted.age_unit),
        interval(largest.distinct),
        part.clamp(0.0, 100.0)
    )
}

fn second(forecast: &Forecast) -> String {
    if let Some(budget) = &forecast.budget {
        let [least, fit, most] = budget.workers;
        let range =
            if least == most { String::new() } else { format!(" ({} to {})", grouped(least), grouped(most)) };
        let fit = if fit == 1 { "1 worker".to_owned() } else { format!("{} workers", grouped(fit)) };
        return format!("{} ({}) hold {fit}{range}.", Bytes(budget.limit_bytes), budget.source);
    }
    match (forecast.best_max_requests, forecast.fitted.age_unit) {
        (Some(best), AgeUnit::Requests) => {
            format!("Replacing workers pays best with max_requests = {}.", grouped(best))
        }
        (Some(best), unit) => format!("Replacing workers pays best after {}.", age(to_number(best), unit)),
        (None, _) => "Replacing workers does not pay.".to_owned(),
    }
}

/// From how many workers on something pays.
pub(super) fn break_even(one: &BreakEven) -> String {
    match one.workers {
        Some(least) => format!("{} pays from {} on", one.what, workers(least)),
        None => format!("{} never pays", one.what),
    }
}

fn workers(count: u32) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{} workers", grouped(u64::from(count))) }
}

/// An age with its unit: `2,000 requests`.
pub(super) fn age(value: f64, unit: AgeUnit) -> String {
    format!("{} {}", number(value), unit_name(unit))
}

/// What ages are counted in.
pub(super) const fn unit_name(unit: AgeUnit) -> &'static str {
    match unit {
        AgeUnit::Requests => "requests",
        AgeUnit::Seconds => "seconds",
        AgeUnit::Steps => "steps",
    }
}

/// A number of about three digits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ages are far below 2^63")]
pub(super) fn number(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.005 {
        format!("{value:.1}")
    } else {
        grouped(value.max(0.0).round() as u64)
    }
}

/// A number of bytes; of gibibytes two decimals, so that intervals show.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are far below 2^63")]
pub(super) fn size(bytes: f64) -> String {
    let sign = if bytes < -0.5 { "−" } else { "" };
    let gibibytes = bytes.abs() / 2_f64.powi(30);
    if (1.0..1024.0).contains(&gibibytes) {
        return format!("{sign}{gibibytes:.2} GiB");
    }
    format!("{sign}{}", Bytes(bytes.abs().round() as u64))
}

/// The ends of an interval of bytes.
pub(super) fn interval(of: Interval) -> String {
    format!("95 % CI {} to {}", size(of.low), size(of.high))
}

/// A part in percent.
pub(super) fn part(of: f64) -> String {
    format!("{:.1} %", of * 100.0)
}

/// Pages as a part of all pages of a class.
pub(super) fn part_of(pages: f64, all: u64) -> String {
    part(pages / to_number(all.max(1)))
}

#[expect(clippy::cast_precision_loss, reason = "a number for people")]
pub(super) const fn to_number(value: u64) -> f64 {
    value as f64
}
