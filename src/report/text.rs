//! One terminal screen: verdict, steps, regions, who pays, findings, evidence, and what to type next.

use super::summary::{self, Split, clipped, grouped, shown_percent};
use crate::family::Ledger;
use crate::family::recording::{CrossCheck, Fate, Finding, Reconciliation, Recording, Step};
use crate::units::Bytes;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// Steps shown before the middle ones are left out.
const MOST_STEPS: usize = 10;
/// Regions shown before the small ones are summed up.
const MOST_REGIONS: usize = 6;
/// Workers that get a column of their own.
const MOST_WORKERS: usize = 4;

/// The recording as text for a terminal of `width` columns, with colours only where asked.
///
/// The last line is the next command to type.
pub fn render(recording: &Recording, width: usize, color: bool) -> String {
    render_with_next(recording, width, color, &summary::next_command(recording, None))
}

/// The same, where the caller knows the next command better.
pub fn render_with_next(recording: &Recording, width: usize, color: bool, next: &str) -> String {
    let page = Page { width: width.clamp(40, 120), paint: Paint { color } };
    let sections = [
        page.head(recording),
        page.verdict(recording),
        page.steps(&recording.steps),
        page.regions(recording),
        page.ledger(recording),
        page.fates(recording),
        page.findings(&recording.findings),
        page.evidence(recording),
        page.next(next),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

struct Page {
    width: usize,
    paint: Paint,
}

impl Page {
    fn head(&self, recording: &Recording) -> String {
        let about = &recording.about;
        let workers = match recording.workers.len() {
            1 => "1 worker".to_owned(),
            count => format!("{count} workers"),
        };
        let facts =
            [about.runtime_shown().as_str(), &workers, &format!("rung {}", about.rung.name())].map(printable);
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

    fn steps(&self, steps: &[Step]) -> String {
        if steps.iter().all(|step| step.workers.is_empty()) {
            return String::new();
        }
        let by_worker = steps.iter().map(|step| step.workers.len()).max().unwrap_or(0) <= MOST_WORKERS
            && self.width >= 76;
        let name_width =
            steps.iter().map(|step| printable(&step.name).chars().count()).max().unwrap_or(0).clamp(4, 20);
        let columns: Vec<String> = if by_worker {
            steps
                .iter()
                .max_by_key(|step| step.workers.len())
                .into_iter()
                .flat_map(|step| &step.workers)
                .map(|w| format!("worker {}", w.worker))
                .collect()
        } else {
            ["least", "mean", "most"].map(str::to_owned).into()
        };
        let mut text = format!("{:name_width$}", "step");
        for column in &columns {
            let _ = write!(text, " {column:>11}");
        }
        text = self.paint.dim(&format!("{text}   ghost      fresh"))
            + self.paint.dim("   (broken per worker)").as_str()
            + "\n";
        let hidden = steps.len().saturating_sub(MOST_STEPS);
        for (index, step) in steps.iter().enumerate() {
            if hidden > 0 && index == MOST_STEPS / 2 {
                let _ = writeln!(text, "{}", self.paint.dim(&format!("… {hidden} more steps")));
            }
            if index < MOST_STEPS / 2 || index >= MOST_STEPS / 2 + hidden {
                text += &step_row(step, by_worker, &columns, name_width);
            }
        }
        text
    }

    fn regions(&self, recording: &Recording) -> String {
        let Some(step) = recording.steps.iter().rev().find(|step| !step.workers.is_empty()) else {
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
                shown_percent(*pages, total),
                self.paint.accent(&bar)
            );
        }
        if text.is_empty() { text } else { self.paint.dim("broken by region, all workers\n") + &text }
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
                "who pays: {} for zygote and {} workers ({} without sharing), and {} of page tables",
                Bytes::of_pages(ledger.distinct_frames),
                workers.len(),
                Bytes::of_pages(alone),
                Bytes(ledger.page_table_bytes())
            ),
            10,
        )
    }

    fn fates(&self, recording: &Recording) -> String {
        let mut text = String::new();
        for worker in recording.workers.iter().filter(|worker| worker.fate != Fate::Finished) {
            let _ = writeln!(
                text,
                "{}",
                self.paint.warn(&format!("worker {} {}", worker.worker, printable(&fate(&worker.fate))))
            );
        }
        text
    }

    fn findings(&self, findings: &[Finding]) -> String {
        let mut text = String::new();
        for finding in findings {
            let _ = writeln!(
                text,
                "{} {}",
                self.paint.warn(&printable(&finding.code)),
                self.paint.bold(&printable(&finding.title))
            );
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
        if let Some(step) = recording.steps.iter().rev().find(|step| !step.workers.is_empty()) {
            text += &self.wrap(&format!("          second method: {}", differences(&step.cross_check)), 10);
        }
        self.paint.dim(&text)
    }

    fn next(&self, command: &str) -> String {
        format!("next: {}\n", self.paint.bold(&printable(command)))
    }

    /// Breaks lines between words; continued lines are indented.
    fn wrap(&self, text: &str, indent: usize) -> String {
        let mut wrapped = String::new();
        let mut column = text.len() - text.trim_start().len();
        wrapped.push_str(&" ".repeat(column));
        for (index, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
            let len = word.chars().count();
            if index > 0 && column + 1 + len > self.width {
                wrapped.push('\n');
                wrapped.push_str(&" ".repeat(indent));
                column = indent;
            } else if index > 0 {
                wrapped.push(' ');
                column += 1;
            }
            wrapped.push_str(word);
            column += len;
        }
        wrapped.push('\n');
        wrapped
    }
}

fn step_row(step: &Step, by_worker: bool, columns: &[String], name_width: usize) -> String {
    let mut row = format!("{:name_width$}", clipped(&printable(&step.name), name_width));
    let mut broken: Vec<u64> = step.workers.iter().map(|worker| worker.broken).collect();
    if by_worker {
        for column in columns {
            let worker = step.workers.iter().find(|worker| *column == format!("worker {}", worker.worker));
            let shown =
                worker.map_or_else(|| "–".to_owned(), |worker| Bytes::of_pages(worker.broken).to_string());
            let _ = write!(row, " {shown:>11}");
        }
    } else {
        broken.sort_unstable();
        let mean = broken.iter().sum::<u64>().checked_div(broken.len() as u64);
        for pages in [broken.first().copied(), mean, broken.last().copied()] {
            let _ = write!(
                row,
                " {:>11}",
                pages.map_or_else(|| "–".to_owned(), |pages| Bytes::of_pages(pages).to_string())
            );
        }
    }
    let split = Split::of_step(step);
    let ghost = match split.compared() {
        0 => "–".into(),
        compared => shown_percent(split.ghost, compared),
    };
    let fresh = step
        .workers
        .iter()
        .map(|worker| worker.fresh)
        .sum::<u64>()
        .checked_div(step.workers.len() as u64)
        .unwrap_or(0);
    let _ = writeln!(row, "  {ghost:>6} {:>10}", Bytes::of_pages(fresh));
    row
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
    format!(
        "{} broken = {} explained + {} by the kernel + {} before the watch began + {} unexplained{lost}",
        grouped(sums.broken),
        grouped(sums.explained),
        grouped(sums.kernel_writes),
        grouped(sums.floor),
        grouped(sums.unexplained)
    )
}

fn differences(check: &CrossCheck) -> String {
    let one = |what: &str, kernel: u64, ours: u64| {
        format!(
            "{what} {} by the kernel, {} by us ({})",
            Bytes(kernel),
            Bytes(ours),
            difference(kernel, ours)
        )
    };
    format!(
        "{}; {}",
        one("workers’ own memory", check.workers_private_dirty, check.workers_unique),
        one("family", check.family_pss_anon, check.family_distinct)
    )
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
fn printable(text: &str) -> String {
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
