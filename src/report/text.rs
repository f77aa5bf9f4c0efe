//! One terminal screen: verdict, steps, regions, who pays, findings, evidence, and what to type next.

use super::steps::StepTable;
use super::summary::{self, clipped, column_percent, counted, grouped, nothing_was_run};
use super::wrap::wrap;
use crate::family::Ledger;
use crate::family::recording::{Fate, Finding, Reconciliation, Recording, Step};
use crate::units::{Bytes, PAGE_SIZE};
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
        let sentences = summary::verdict(recording).map(|sentence| printable(&sentence)).join(" ");
        let text = self.wrap(&sentences, 0);
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
                "who pays: {} for zygote and {} ({} without sharing), and {} of page tables",
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

/// One of the kernel's totals beside ours, in bytes.
pub(super) struct Check {
    /// What was counted.
    pub name: String,
    /// Field of `smaps_rollup`.
    pub field: &'static str,
    /// The kernel's total.
    pub kernel: u64,
    /// Our total.
    pub ours: u64,
}

impl Check {
    /// How far ours is from the kernel's, as a part of the kernel's.
    #[expect(clippy::cast_precision_loss, reason = "to find the largest")]
    fn off(&self) -> f64 {
        self.ours.abs_diff(self.kernel) as f64 / self.kernel.max(1) as f64
    }

    fn sentence(&self) -> String {
        let Self { name, kernel, ours, .. } = self;
        format!(
            "{name} {} by the kernel, {} by us ({})",
            Bytes(*kernel),
            Bytes(*ours),
            difference(*kernel, *ours)
        )
    }
}

/// The totals of a step that both methods know. Where frames are hidden, we do not know the family's.
pub(super) fn checks(step: &Step) -> Vec<Check> {
    let check = &step.cross_check;
    let beyond = check.family_distinct.saturating_sub(step.ledger.distinct_frames * PAGE_SIZE);
    let family = match beyond {
        0 => "whole family".to_owned(),
        kept => format!("whole family (including {} that the frozen sibling keeps)", Bytes(kept)),
    };
    let mut checks = vec![Check {
        name: "workers’ own memory".into(),
        field: "Private_Dirty",
        kernel: check.workers_private_dirty,
        ours: check.workers_unique,
    }];
    if check.family_distinct > 0 {
        checks.push(Check {
            name: family,
            field: "Pss_Anon",
            kernel: check.family_pss_anon,
            ours: check.family_distinct,
        });
    }
    checks
}

/// The last step with a living worker.
pub(super) fn last_step(recording: &Recording) -> Option<&Step> {
    recording.steps.iter().rev().find(|step| !step.workers.is_empty())
}

/// The total that differs most at any step, where that is worse than all totals of the last step.
pub(super) fn worst_check(recording: &Recording) -> Option<(&Step, Check)> {
    let steps = recording.steps.iter().filter(|step| !step.workers.is_empty());
    let at_the_end = checks(last_step(recording)?).iter().map(Check::off).fold(0.0, f64::max);
    steps
        .flat_map(|step| checks(step).into_iter().map(move |check| (step, check)))
        .max_by(|(_, a), (_, b)| a.off().total_cmp(&b.off()))
        .filter(|(_, check)| check.off() > at_the_end)
}

/// Ours against the kernel's, signed and in percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
pub(super) fn difference(kernel: u64, ours: u64) -> String {
    match (kernel, ours) {
        (0, 0) => "equal".into(),
        (0, _) => "not counted by the kernel".into(),
        (kernel, ours) if kernel == ours => "equal".into(),
        (kernel, ours) => match (ours as f64 - kernel as f64) * 100.0 / kernel as f64 {
            tiny if tiny.abs() < 0.005 => "within 0.01\u{a0}%".into(),
            percent => format!("{percent:+.2}\u{a0}%"),
        },
    }
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
