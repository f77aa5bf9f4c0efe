//! A forecast on a terminal: the verdict, families by size, how pages erode, and when what pays.

use super::words::{age, break_even, interval, number, part, part_of, size, to_number, unit_name, verdict};
use crate::forecast::{CurvePoint, Forecast};
use crate::report::summary::{clipped, grouped};
use crate::report::text::{Paint, bar};
use crate::report::{printable, wrap};
use std::fmt::Write;

/// Families shown; JSON holds all.
const FAMILIES: usize = 9;
/// Ages shown of the erosion curve.
const AGES: usize = 7;
/// Most characters of a class's name.
const NAME: usize = 24;

/// The forecast as text for a terminal of `columns` columns, with colours only where asked.
pub fn render(forecast: &Forecast, columns: usize, colours: bool, next: &str) -> String {
    let page = Page { forecast, width: columns.clamp(60, 120), paint: Paint { color: colours } };
    let [first, second] = verdict(forecast);
    let mut text = page.paint.bold(&page.prose(&first, 0)) + &page.prose(&second, 0);
    text += &page.families();
    text += &page.erosion();
    text += &page.classes();
    text += &page.break_even();
    text += &page.evidence();
    let _ = writeln!(text, "\nnext: {}", page.paint.bold(&printable(next)));
    text
}

struct Page<'a> {
    forecast: &'a Forecast,
    width: usize,
    paint: Paint,
}

impl Page<'_> {
    fn prose(&self, text: &str, indent: usize) -> String {
        wrap(&printable(text), 0, indent, self.width) + "\n"
    }

    fn heading(&self, text: &str) -> String {
        format!("\n{}\n", self.paint.bold(text))
    }

    fn families(&self) -> String {
        let at = age(self.forecast.age, self.forecast.fitted.age_unit);
        let mut text = self.heading(&format!("Memory of a family after {at} of each worker"));
        let head = format!(
            "{:>8} {:>11}  {:<32} {:>12} {:>12}",
            "workers", "distinct", "", "page tables", "unshared"
        );
        text += &self.paint.dim(&(head + "\n"));
        for family in spread(&self.forecast.families, FAMILIES) {
            let _ = writeln!(
                text,
                "{:>8} {:>11}  {:<32} {:>12} {:>12}",
                grouped(u64::from(family.workers)),
                size(family.distinct.estimate),
                interval(family.distinct),
                size(family.page_tables),
                size(family.unshared)
            );
        }
        text
    }

    /// The curve of all pages: what was observed, then what follows from the fit.
    fn erosion(&self) -> String {
        let Some(all) = self.forecast.classes.first() else { return String::new() };
        let last = self.forecast.fitted.last_age;
        let beyond: Vec<&CurvePoint> = all.fitted.iter().filter(|point| point.age > last).collect();
        let mut text = self.heading(&format!(
            "Inherited pages broken, by {} of a worker",
            unit_name(self.forecast.fitted.age_unit)
        ));
        for point in spread(&all.observed, AGES) {
            text += &self.point(point, "");
        }
        if let Some(point) = beyond.last() {
            text += &self.point(point, "  forecast");
        }
        text
    }

    fn point(&self, point: &CurvePoint, mark: &str) -> String {
        let bar_width = self.width.saturating_sub(46).min(40);
        let line = bar(thousandths(point.broken.estimate), 1000, bar_width);
        format!(
            "{:>10}  {:>7} ({} to {})  {}{mark}\n",
            number(point.age),
            part(point.broken.estimate),
            part(point.broken.low),
            part(point.broken.high),
            self.paint.accent(&line)
        )
    }

    fn classes(&self) -> String {
        let mut text = self.heading("Where it erodes");
        let head = format!(
            "{:<NAME$} {:>10} {:>8} {:>12} {:>12}",
            "", "pages", "now", "in the end", "half of it at"
        );
        text += &self.paint.dim(&(head + "\n"));
        for class in &self.forecast.classes {
            let now = class.observed.last().map_or(0.0, |point| point.broken.estimate);
            let _ = writeln!(
                text,
                "{:<NAME$} {:>10} {:>8} {:>12} {:>12}",
                clipped(&printable(&class.name), NAME),
                grouped(class.pages),
                part(now),
                part_of(class.plateau.estimate, class.pages),
                class.half_life.map_or_else(|| "the fork".to_owned(), |half| number(half.estimate)),
            );
        }
        text
    }

    fn break_even(&self) -> String {
        let mut text = self.heading("When it pays");
        if let Some(best) = self.forecast.best_max_requests {
            let gain = self
                .forecast
                .recycling
                .iter()
                .find(|one| one.age.round() >= to_number(best))
                .map_or(0.0, |one| one.gain);
            text += &self.prose(
                &format!(
                    "max_requests = {} gets {} of what replacing workers can get back.",
                    grouped(best),
                    part(gain)
                ),
                2,
            );
        }
        for one in &self.forecast.break_even {
            text += &self.prose(&format!("{}: {}.", break_even(one), one.because), 2);
        }
        text
    }

    fn evidence(&self) -> String {
        let fitted = &self.forecast.fitted;
        let rung = fitted.rung.map_or("unknown", |rung| rung.name());
        let mut text = format!(
            "\nFitted to {} capture(s), {} worker(s), {} snapshots, up to {} of a worker; evidence '{rung}'.",
            fitted.captures,
            fitted.workers,
            fitted.snapshots,
            age(fitted.last_age, fitted.age_unit)
        );
        for note in &self.forecast.notes {
            let _ = write!(text, " Note: {note}.");
        }
        self.paint.dim(&self.prose(&text, 0))
    }
}

/// At most `most` entries, the first and the last among them.
fn spread<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let shown = all.len().min(most);
    (0..shown)
        .filter_map(move |index| all.get(if shown > 1 { index * (all.len() - 1) / (shown - 1) } else { 0 }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part between 0 and 1")]
fn thousandths(part: f64) -> u64 {
    (part.clamp(0.0, 1.0) * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_keeps_its_ends() {
        let all: Vec<u32> = (0..100).collect();
        let shown: Vec<u32> = spread(&all, 5).copied().collect();
        assert_eq!(shown, [0, 24, 49, 74, 99]);
        assert_eq!(spread(&all[..1], 5).count(), 1);
        assert_eq!(spread(&all[..0], 5).count(), 0);
    }
}
