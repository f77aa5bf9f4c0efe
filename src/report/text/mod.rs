//! One terminal screen: verdict, steps, causes, who pays, findings, evidence, and what to type next.

mod designs;
mod evidence;
mod explained;
mod paint;
mod regions;

pub(super) use evidence::equation;

use super::ranking::headline;
use super::steps::StepTable;
use super::summary::{self, Summary, counted, nothing_was_run};
use super::verdict::{rest_of, verdict};
use super::wrap::wrap;
use crate::family::Ledger;
use crate::family::recording::{Fate, Finding, Recording, Step};
use crate::report::printable;
use crate::units::Bytes;
pub(super) use paint::{Paint, bar};
use std::fmt::Write;

/// Steps shown before the middle ones are left out: without causes below them, and with.
const MOST_STEPS: [usize; 2] = [10, 6];

/// The recording as text for a terminal of `width` columns, with colours only where asked.
///
/// The last line is the next command to type.
pub fn render(recording: &Recording, width: usize, color: bool) -> String {
    render_with_next(recording, width, color, &summary::next_command(recording, None))
}

/// The same, where the caller knows the next command better.
pub fn render_with_next(recording: &Recording, width: usize, color: bool, next: &str) -> String {
    let page = Page { width: width.clamp(40, 120), paint: Paint { color }, why: headline(recording) };
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
        page.where_and_why(recording) + &page.regions_in_short(recording) + &page.ledger(recording),
        page.fates(recording),
        page.findings(&recording.findings),
        page.evidence(recording) + &page.notes(recording),
        page.next(next),
    ];
    joined(sections)
}

fn joined<const N: usize>(sections: [String; N]) -> String {
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Notes on one screen.
const MOST_NOTES: usize = 4;

struct Page {
    width: usize,
    paint: Paint,
    /// The headline, where breaks are explained.
    why: Option<String>,
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
        if let Some(why) = &self.why {
            text += &self.paint.bold(&self.wrap(&format!("why: {}", printable(why)), 5));
        } else if !rest.is_empty() {
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
        let most = MOST_STEPS[usize::from(self.why.is_some())];
        // A line that says that one is missing takes as much room as the one.
        let hidden = Some(steps.len().saturating_sub(most)).filter(|&hidden| hidden > 1).unwrap_or(0);
        for (index, step) in steps.iter().enumerate() {
            if hidden > 0 && index == most / 2 {
                let _ = writeln!(text, "{}", self.paint.dim(&format!("… {}", counted(hidden, "more step"))));
            }
            if index < most / 2 || index >= most / 2 + hidden {
                text += &table.row(step);
            }
        }
        text
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

    fn notes(&self, recording: &Recording) -> String {
        let notes = &recording.about.notes;
        let shown = notes.iter().take(MOST_NOTES);
        let mut text: String =
            shown.map(|note| self.wrap(&format!("note: {}", printable(note)), 6)).collect();
        if notes.len() > MOST_NOTES {
            text += &self
                .paint
                .dim(&format!("… {} more in the HTML report\n", counted(notes.len() - MOST_NOTES, "note")));
        }
        text
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
