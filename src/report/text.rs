//! One terminal screen: verdict, steps, regions, who pays, findings, evidence, and what to type next.

use super::second_method::{Check, checks, last_step, worst_check};
use super::steps::StepTable;
use super::summary::{self, Summary, clipped, column_percent, counted, grouped, nothing_was_run};
use super::verdict::{rest_of, verdict};
use super::wrap::wrap;
use crate::family::Ledger;
use crate::family::recording::{Fate, Finding, Reconciliation, Recording, Step};
use crate::units::Bytes;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// Steps shown before the middle ones are left out.
const MOST_STEPS: usize = 10;
/// Regions shown before the small ones are summed up.
const MOST_REGIONS: usize = 6;

/// The recording as text for a terminal of `width` columns, with colours only where asked.
///
/// The last line is the next command to type.
pub fn render(recording: &Recording, width: usize, color: bool) -> String {
    render_with_next(recording, width, color, &summary::next_command(recording, None))
}

/// The same, where the caller knows the next command better.
pub fn render_with_next(recording: &Recording, width: usize, color: bool, next: &str) -> String {
    let page = Page { width: width.clamp(40, 120), paint: Paint { color } };
    if nothing_was_run(recording) {
        let sections = [
            page.head(recording),
            page.verdict(recording),
            page.findings(&recording.findings),
            page.notes(recording),
            page.next(next),
        ];
        return joined(sections);
    }
    let sections = [
        page.head(recording),
        page.verdict(recording),
        page.steps(recording),
        page.regions(recording),
        page.ledger(recording),
        page.fates(recording),
        page.findings(&recording.findings),
        page.evidence(recording),
        page.next(next),
    ];
    joined(sections)
}

fn joined<const N: usize>(sections: [String; N]) -> String {
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

struct Page {
    width: usize,
    paint: Paint,
}

impl Page {
    fn head(&self, recording: &Recording) -> String {
        let about = &recording.about;
        let measured = if nothing_was_run(recording) {
            ["configuration only".to_owned(), String::new()]
        } else {
            [counted(recording.workers.len(), "worker"), format!("rung {}", about.rung.name())]
        };
        let facts = [about.runtime_shown().as_str(), &measured[0], &measured[1]].map(printable);
        let facts = facts.iter().filter(|fact| !fact.is_empty()).cloned().collect::<Vec<_>>().join(", ");
        format!("{}  {}\n", self.paint.bold(&printable(&about.title)), self.paint.dim(&facts))
    }

    fn verdict(&self, recording: &Recording) -> String {
        let sentences = verdict(recording).map(|sentence| printable(&sentence)).join(" ");
        let mut text = self.wrap(&sentences, 0);
        let rest = Summary::of(recording).map(|summary| rest_of(&summary.split)).unwrap_or_default();
        if !rest.is_empty() {
            let rest = format!("the rest of what is no longer shared, all workers: {rest}");
            text += &self.paint.dim(&self.wrap(&rest, 0));
        }
        if recording.about.complete {
            text
        } else {
            text + &self.paint.warn("The measurement ended early.") + "\n"
        }
    }

    fn steps(&self, recording: &Recording) -> String {
        let steps = &recording.steps;
        if steps.iter().all(|step| step.workers.is_empty()) {
            return String::new();
        }
        let table = StepTable::of(recording, self.width);
        let mut text = self.paint.dim("no longer shared, per worker, since the fork\n");
        text += &self.paint.dim(&table.head());
        let hidden = steps.len().saturating_sub(MOST_STEPS);
        for (index, step) in steps.iter().enumerate() {
            if hidden > 0 && index == MOST_STEPS / 2 {
                let _ = writeln!(text, "{}", self.paint.dim(&format!("… {}", counted(hidden, "more step"))));
            }
            if index < MOST_STEPS / 2 || index >= MOST_STEPS / 2 + hidden {
                text += &table.row(step);
            }
        }
        text
    }

    fn regions(&self, recording: &Recording) -> String {
        let Some(step) = summary::worst_step(recording).map(|index| &recording.steps[index]) else {
            return String::new();
        };
        let mut regions: Vec<(String, u64)> = step
            .regions
            .iter()
            .filter(|(_, pages)| **pages > 0)
            .map(|(name, &pages)| (printable(name), pages))
            .collect();
        regions.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
        let total: u64 = regions.iter().map(|(_, pages)| pages).sum();
        if regions.len() > MOST_REGIONS {
            let rest = regions.split_off(MOST_REGIONS - 1);
            regions.push((format!("{} more", rest.len()), rest.iter().map(|(_, pages)| pages).sum()));
        }
        let most = regions.iter().map(|(_, pages)| *pages).max().unwrap_or(0);
        let mut text = String::new();
        for (name, pages) in &regions {
            let bar = bar(*pages, most, self.width.saturating_sub(50).clamp(8, 24));
            let _ = writeln!(
                text,
                "{:<24} {:>10} {:>7}  {}",
                clipped(name, 24),
                Bytes::of_pages(*pages),
                column_percent(*pages, total),
                self.paint.accent(&bar)
            );
        }
        if text.is_empty() {
            return text;
        }
        let head = format!("broken by region, all workers, after “{}”", printable(&step.name));
        self.paint.dim(&self.wrap(&head, 0)) + &text
    }

    fn ledger(&self, recording: &Recording) -> String {
        let Some(Step { ledger, workers, .. }) =
            recording.steps.iter().rev().find(|step| !step.workers.is_empty())
        else {
            return String::new();
        };
        if *ledger == Ledger::default() {
            return String::new();
        }
        let alone: u64 = ledger.shares.iter().map(|share| share.private_pages).sum();
        self.wrap(
            &format!(
                "who pays at the end: {} for zygote and {} ({} without sharing), and {} of page tables",
                Bytes::of_pages(ledger.distinct_frames),
                counted(workers.len(), "worker"),
                Bytes::of_pages(alone),
                Bytes(ledger.page_table_bytes())
            ),
            10,
        )
    }

    fn fates(&self, recording: &Recording) -> String {
        let mut text = String::new();
        for worker in recording.workers.iter().filter(|worker| worker.fate != Fate::Finished) {
            let said = format!("worker {} {}", worker.worker, printable(&fate(&worker.fate)));
            text += &self.paint.warn(&self.wrap(&said, 2));
        }
        text
    }

    fn findings(&self, findings: &[Finding]) -> String {
        let mut text = String::new();
        for finding in findings {
            let code = printable(&finding.code);
            let head = self.wrap(&format!("{code} {}", printable(&finding.title)), code.chars().count() + 1);
            let title = head.strip_prefix(&code).unwrap_or(&head);
            text += &self.paint.warn(&code);
            text += &self.paint.bold(title);
            if !finding.evidence.is_empty() {
                text += &self.wrap(&format!("      {}", printable(&finding.evidence)), 6);
            }
            if !finding.fix.is_empty() {
                text += &self.wrap(&format!("      fix: {}", printable(&finding.fix)), 11);
            }
        }
        text
    }

    fn evidence(&self, recording: &Recording) -> String {
        let rung = recording.about.rung;
        let mut text = self.wrap(&format!("evidence: {} — {}", rung.name(), rung.explanation()), 10);
        text += &self.wrap(&format!("          {}", equation(&recording.reconciliation)), 10);
        if let Some(last) = last_step(recording) {
            let sentences: Vec<String> = checks(last).iter().map(Check::sentence).collect();
            text += &self.wrap(&format!("          second method: {}", sentences.join("; ")), 10);
        }
        if let Some((step, check)) = worst_check(recording) {
            let name = printable(&step.name);
            text += &self.wrap(&format!("          worst step: after “{name}”, {}", check.sentence()), 10);
        }
        self.paint.dim(&text)
    }

    fn notes(&self, recording: &Recording) -> String {
        recording.about.notes.iter().map(|note| self.wrap(&format!("note: {}", printable(note)), 6)).collect()
    }

    fn next(&self, command: &str) -> String {
        format!("next: {}\n", self.paint.bold(&printable(command)))
    }

    /// Breaks lines between words; continued lines are indented.
    fn wrap(&self, text: &str, indent: usize) -> String {
        wrap(text, 0, indent, self.width) + "\n"
    }
}

/// How a worker ended, after `worker 3 `.
pub(super) fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Finished => "served until it was stopped".into(),
        Fate::Exited { code, step } => format!("left with status {code} during “{step}”"),
        Fate::Killed { signal, step } => format!("was killed by {signal} during “{step}”"),
        Fate::Failed { message, step } => format!("raised during “{step}”: {message}"),
        Fate::Hung { step } => format!("did not finish “{step}” in time and was killed"),
    }
}

/// The reconciliation as an equation with numbers.
pub(super) fn equation(sums: &Reconciliation) -> String {
    let lost = if sums.lost_samples > 0 {
        format!(" ({} samples lost)", grouped(sums.lost_samples))
    } else {
        String::new()
    };
    let why = if sums.explained == 0 && sums.unexplained > 0 {
        "; causes are not attributed by this version"
    } else {
        ""
    };
    format!(
        "{} broken = {} explained + {} by the kernel + {} at the fork itself, before the first step (floor) + {} unexplained{lost}{why}",
        grouped(sums.broken),
        grouped(sums.explained),
        grouped(sums.kernel_writes),
        grouped(sums.floor),
        grouped(sums.unexplained)
    )
}

fn bar(part: u64, whole: u64, width: usize) -> String {
    let eighths = usize::try_from(part.saturating_mul(width as u64 * 8) / whole.max(1)).unwrap_or(0).max(1);
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

/// Text of measured programs without control characters, which could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let unsafe_in_terminals = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if unsafe_in_terminals(c) { ' ' } else { c }).collect()
}

struct Paint {
    color: bool,
}

impl Paint {
    fn with(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let body = text.trim_end_matches('\n');
        format!("{style}{body}{style:#}{}", &text[body.len()..])
    }

    fn bold(&self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    fn dim(&self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    fn warn(&self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default().bold(), text)
    }

    fn accent(&self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::synthetic::{Shape, recording};

    fn example() -> Recording {
        recording(Shape { pages: 2000, workers: 2, steps: 3, server: false, seed: 4 })
    }

    #[test]
    fn the_second_method_shows_what_is_known_and_its_worst_step() {
        let mut recording = example();
        recording.steps[1].cross_check.workers_unique *= 2;
        let screen = render(&recording, 120, false).replace(['\n', '\u{a0}'], " ");
        assert!(screen.contains("whole family"), "{screen}");
        assert!(screen.contains(&format!("worst step: after “{}”", recording.steps[1].name)), "{screen}");
        recording.steps.iter_mut().for_each(|step| step.cross_check.family_distinct = 0);
        let screen = render(&recording, 120, false);
        assert!(screen.contains("second method") && !screen.contains("whole family"), "{screen}");
        assert!(!screen.contains("-100"), "{screen}");
    }

    #[test]
    fn unexplained_pages_are_no_failure_while_causes_are_not_attributed() {
        let sums = Reconciliation { broken: 9, floor: 4, unexplained: 5, ..Reconciliation::default() };
        let said = equation(&sums);
        assert!(said.contains("4 at the fork itself, before the first step (floor) + 5 unexplained; causes"));
        assert!(!equation(&Reconciliation { explained: 2, ..sums }).contains("causes"));
    }

    #[test]
    fn a_configuration_alone_shows_findings_and_no_measurement() {
        let mut recording = Recording { findings: example().findings, ..Recording::default() };
        recording.about.complete = true;
        let screen = render(&recording, 100, false);
        assert!(screen.contains("FP001") && screen.contains("the 2 findings below come from"), "{screen}");
        for absent in ["evidence", "rung", "0 workers", "who pays", "second method"] {
            assert!(!screen.contains(absent), "{absent} in {screen}");
        }
    }
}
