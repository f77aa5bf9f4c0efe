//! Advice on a terminal: the verdict, what every variant gives back and costs, and what to change.

use super::words::{
    baseline, groups, interval, names, size, startup_change, throughput_change, throughput_part, verdict,
    worth,
};
use super::{Advice, Recommendation, RuleStanding, VariantResult, Verdict};
use crate::report::summary::clipped;
use crate::report::text::{Paint, bar};
use crate::report::{printable, wrap};
use std::fmt::Write;

/// Lines of a diff that a terminal shows; the file holds the rest.
const DIFF_LINES: usize = 24;
/// Most characters of a variant's name.
const NAME: usize = 22;
/// Columns of the figures beside a bar of the waterfall.
const FIGURE: usize = 12;

/// The advice as text for a terminal of `columns` columns, with colours only where asked.
pub fn render(advice: &Advice, columns: usize, colours: bool) -> String {
    let page = Page { advice, width: columns.clamp(60, 120), paint: Paint { color: colours } };
    let mut text = page.verdict();
    if !advice.variants.is_empty() {
        text += &page.savings();
        text += &page.splits();
    }
    if advice.waterfall.today > 0.0 {
        text += &page.waterfall();
    }
    text += &page.rules();
    if let Some(best) = &advice.recommended {
        text += &page.recommended(best);
    }
    text += &page.evidence();
    text
}

struct Page<'a> {
    advice: &'a Advice,
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

    fn verdict(&self) -> String {
        let mut text = String::new();
        if !self.advice.complete {
            text +=
                &self.paint.warn(&self.prose("Interrupted: what follows rests on the rounds that ended.", 0));
        }
        let [first, second] = verdict(self.advice);
        text += &self.paint.bold(&self.prose(&first, 0));
        text + &self.prose(&second, 0)
    }

    fn names_width(&self) -> usize {
        let longest = self.advice.variants.iter().map(|one| one.name.chars().count()).max();
        longest.unwrap_or(0).clamp(7, NAME)
    }

    fn row_name(&self, variant: &VariantResult) -> String {
        let width = self.names_width();
        format!("{:<width$}", clipped(&printable(&variant.name), width))
    }

    fn savings(&self) -> String {
        let width = self.names_width();
        let head = format!(
            "{:<width$} {:>9} {:>15} {:>8} {:>7}  {}",
            "", "saving", "95 % CI, MiB", "start-up", "speed", "verdict"
        );
        let mut text = self.heading("What each variant gives back") + &self.paint.dim(&(head + "\n"));
        let base = baseline(self.advice);
        for variant in &self.advice.variants {
            if variant.verdict == Verdict::Failed {
                let why = variant.failure.as_deref().unwrap_or("no reason was given");
                let failed = self.prose(&format!("{} failed: {why}", self.row_name(variant)), width + 1);
                text += &self.paint.warn(&failed);
                continue;
            }
            let (saving, ends) = if variant.verdict == Verdict::Baseline {
                ("–".to_owned(), String::new())
            } else {
                (size(variant.saving.mean), ends(variant))
            };
            let line = format!(
                "{} {saving:>9} {ends:>15} {:>8} {:>7}  {}\n",
                self.row_name(variant),
                startup_change(variant, base),
                throughput_change(variant, base),
                worth(variant),
            );
            text += &match variant.verdict {
                Verdict::Helps if self.is_recommended(variant) => self.paint.bold(&line),
                Verdict::DoesNotHelp => self.paint.dim(&line),
                Verdict::Harms => self.paint.warn(&line),
                _ => line,
            };
        }
        text
    }

    fn is_recommended(&self, variant: &VariantResult) -> bool {
        self.advice.recommended.as_ref().is_some_and(|best| best.codes == variant.codes)
    }

    fn splits(&self) -> String {
        let width = self.names_width();
        let head = format!(
            "{:<width$} {:>8} {:>9} {:>10} {:>7} {:>7} {:>8}\n",
            "", "broken", "collector", "ref counts", "caches", "other", "new data"
        );
        let mut text = self.heading("What still breaks pages, MiB of one worker") + &self.paint.dim(&head);
        for variant in self.advice.variants.iter().filter(|one| one.verdict != Verdict::Failed) {
            let [collector, refcount, caches, other, real] =
                groups(&variant.split).map(|group| mebibytes(group.2));
            let _ = writeln!(
                text,
                "{} {:>8} {collector:>9} {refcount:>10} {caches:>7} {other:>7} {real:>8}",
                self.row_name(variant),
                mebibytes(variant.broken.mean)
            );
        }
        text
    }

    fn waterfall(&self) -> String {
        let fall = &self.advice.waterfall;
        let labels = fall.steps.iter().map(|step| step.label.chars().count()).max().unwrap_or(0);
        let labels = labels.clamp(14, NAME);
        let room = self.width.saturating_sub(labels + FIGURE + 3).max(10);
        let mut text = self.heading("From today to the physical limit, all workers");
        let mut row = |label: &str, from: f64, to: f64, figure: String, strong: bool| {
            let label = format!("{:<labels$}", clipped(&printable(label), labels));
            let drawn = cells(from, to, fall.today, room);
            let drawn = if strong { self.paint.accent(&drawn) } else { drawn };
            let _ = writeln!(text, "{label} {figure:>FIGURE$} {}", drawn.trim_end());
        };
        row("today", 0.0, fall.today, size(fall.today), true);
        let mut level = fall.today;
        for step in &fall.steps {
            let after = level - step.saving.mean;
            row(&step.label, after.min(level), after.max(level), size(-step.saving.mean), false);
            level = after;
        }
        row("what remains", 0.0, fall.remaining, size(fall.remaining), true);
        row("physical limit", 0.0, fall.limit, size(fall.limit), false);
        text
    }

    fn rules(&self) -> String {
        let (apply, others): (Vec<_>, Vec<_>) = self.advice.rules.iter().partition(|rule| rule.applies);
        if apply.is_empty() && others.is_empty() {
            return String::new();
        }
        let mut text = self.heading("Rules");
        for rule in apply {
            text += &self.rule(rule);
        }
        if !others.is_empty() {
            let codes: Vec<&str> = others.iter().map(|rule| rule.code.as_str()).collect();
            text += &self.paint.dim(&self.prose(&format!("do not apply: {}", codes.join(", ")), 14));
        }
        text
    }

    fn rule(&self, rule: &RuleStanding) -> String {
        let evidence = if rule.evidence.is_empty() { String::new() } else { format!(": {}", rule.evidence) };
        let line = format!("{} {}{evidence}", rule.code, rule.title);
        wrap(&clipped(&printable(&line), self.width * 2 - 8), 0, 6, self.width) + "\n"
    }

    fn recommended(&self, best: &Recommendation) -> String {
        let mut text = self.heading("Recommended");
        let (throughput, of_today) = throughput_part(best.throughput);
        let gain = format!(
            "{}: {} ({}), {:.0} % of the ghosts; {:+.2} s at the start, {throughput} {of_today}.",
            names(self.advice, &best.codes),
            size(best.saving.mean),
            interval(best.saving),
            best.of_ghosts * 100.0,
            best.startup_seconds
        );
        text += &self.prose(&gain.replace(": −", ": costs "), 0);
        for variable in &best.environment {
            let _ = writeln!(text, "  export {}", self.paint.bold(&printable(variable)));
        }
        let lines: Vec<&str> = best.diff.lines().collect();
        for line in lines.iter().take(DIFF_LINES) {
            let shown = printable(line);
            let shown = if shown.starts_with('+') { self.paint.bold(&shown) } else { self.paint.dim(&shown) };
            let _ = writeln!(text, "  {shown}");
        }
        if lines.len() > DIFF_LINES {
            let _ = writeln!(text, "  … {} more lines", lines.len() - DIFF_LINES);
        }
        text
    }

    fn evidence(&self) -> String {
        let advice = self.advice;
        let mut parts = vec![
            format!("{} workers", advice.workers),
            format!("{} rounds of each variant, interleaved", advice.rounds),
            format!("{:.0} s", advice.seconds),
        ];
        parts.extend(advice.rung.map(|rung| format!("evidence {}", rung.name())));
        let mut text = String::from("\n");
        for note in &advice.notes {
            text += &self.paint.dim(&self.prose(note, 2));
        }
        text + &self.paint.dim(&self.prose(&parts.join(" · "), 0))
    }
}

/// The ends of a saving in one unit: `208.1 to 215.4`.
fn ends(variant: &VariantResult) -> String {
    format!("{} to {}", mebibytes(variant.saving.low), mebibytes(variant.saving.high))
}

fn mebibytes(bytes: f64) -> String {
    let shown = format!("{:.1}", bytes / f64::from(1 << 20));
    if shown == "-0.0" { "0.0".to_owned() } else { shown.replace('-', "−") }
}

/// A bar from one value to another on a scale.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "clamped to the width of a terminal"
)]
fn cells(from: f64, to: f64, whole: f64, width: usize) -> String {
    let at = |value: f64| (value / whole.max(1.0)).clamp(0.0, 1.0);
    let blanks = (at(from) * width as f64).round() as usize;
    let part = ((at(to) - at(from)) * 10_000.0).round() as u64;
    " ".repeat(blanks.min(width - 1)) + &bar(part, 10_000, width)
}
