//! The numbers and sentences that every output opens with.

use crate::family::recording::{Recording, Step, WorkerStep};
use crate::units::percent;
use std::path::Path;

/// The broken pages of a worker, or of several, divided by who copied what for what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Split {
    /// Copied by the worker; the bytes are still those of the fork.
    pub ghost: u64,
    /// Copied by the worker; at least one byte differs.
    pub differs: u64,
    /// Copied by the worker; the fork-time bytes could not be read.
    pub uncompared: u64,
    /// Written by the zygote alone.
    pub zygote: u64,
}

impl Split {
    /// Divides the counts of one worker. The parts add up to the broken pages.
    ///
    /// A page that only the zygote wrote is the zygote's, whatever its copy holds.
    pub fn of(worker: &WorkerStep) -> Self {
        let copied = worker.broken_by_worker.min(worker.broken);
        let zygote = worker.broken - copied;
        let ghost = worker.ghost.saturating_sub(worker.ghost_zygote_only).min(copied);
        let uncompared = worker.uncompared.saturating_sub(worker.uncompared_zygote_only).min(copied - ghost);
        Self { ghost, differs: copied - ghost - uncompared, uncompared, zygote }
    }

    /// The parts of all workers of a step together.
    pub fn of_step(step: &Step) -> Self {
        step.workers.iter().map(Self::of).fold(Self::default(), Self::plus)
    }

    /// The parts of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            ghost: self.ghost + other.ghost,
            differs: self.differs + other.differs,
            uncompared: self.uncompared + other.uncompared,
            zygote: self.zygote + other.zygote,
        }
    }

    /// Pages that workers copied.
    pub const fn copied(&self) -> u64 {
        self.ghost + self.differs + self.uncompared
    }

    /// Copies whose bytes were compared with those of the fork.
    pub const fn compared(&self) -> u64 {
        self.ghost + self.differs
    }

    /// Broken pages.
    pub const fn broken(&self) -> u64 {
        self.copied() + self.zygote
    }
}

/// The family at the step at which the most pages were broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Index of the step in [`Recording::steps`].
    pub index: usize,
    /// Name of the step.
    pub step: String,
    /// How the measurement ended, where a worker lived on.
    pub end: End,
    /// Workers alive.
    pub workers: u64,
    /// Pages inherited, over all workers.
    pub inherited: u64,
    /// Broken pages, over all workers.
    pub split: Split,
    /// Pages gone, over all workers.
    pub gone: u64,
    /// Pages made after the fork, over all workers.
    pub fresh: u64,
    /// Frames of the whole family.
    pub distinct_frames: u64,
}

/// The last step with a living worker, in pages over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Name of the step.
    pub step: String,
    /// Whether it is a later step than that of the summary.
    pub later: bool,
    /// Workers alive.
    pub workers: u64,
    /// Pages inherited.
    pub inherited: u64,
    /// Pages gone.
    pub gone: u64,
}

/// The step at which the most pages were broken; of those within 1 % of it, the last.
pub fn worst_step(recording: &Recording) -> Option<usize> {
    let broken = |step: &Step| step.workers.iter().map(|worker| worker.broken).sum::<u64>();
    let most = recording.steps.iter().map(broken).max()?;
    let about_most = |step: &Step| !step.workers.is_empty() && broken(step) * 100 >= most * 99;
    recording.steps.iter().rposition(about_most)
}

impl End {
    fn of(recording: &Recording, summarized: usize) -> Option<Self> {
        let index = recording.steps.iter().rposition(|step| !step.workers.is_empty())?;
        let step = &recording.steps[index];
        Some(Self {
            step: step.name.clone(),
            later: index > summarized,
            workers: step.workers.len() as u64,
            inherited: step.workers.iter().map(|worker| worker.inherited).sum(),
            gone: step.workers.iter().map(|worker| worker.gone).sum(),
        })
    }

    /// Whether so much was unmapped that the verdict has to say it.
    pub const fn notable(&self) -> bool {
        self.gone * 10 >= self.inherited && self.gone > 0
    }
}

impl Summary {
    /// Sums up the step at which most was broken; `None` when no worker lived to be measured.
    pub fn of(recording: &Recording) -> Option<Self> {
        let index = worst_step(recording)?;
        let step = &recording.steps[index];
        let sum = |of: fn(&WorkerStep) -> u64| step.workers.iter().map(of).sum();
        let split = Split::of_step(step);
        Some(Self {
            index,
            step: step.name.clone(),
            end: End::of(recording, index)?,
            workers: step.workers.len() as u64,
            inherited: sum(|w| w.inherited),
            split,
            gone: sum(|w| w.gone),
            fresh: sum(|w| w.fresh),
            distinct_frames: step.ledger.distinct_frames,
        })
    }

    /// Pages of one worker, from pages of all.
    pub const fn per_worker(&self, pages: u64) -> u64 {
        match pages.checked_div(self.workers) {
            Some(pages) => pages,
            None => 0,
        }
    }

    /// Pages still shared, over all workers.
    pub const fn shared(&self) -> u64 {
        self.inherited.saturating_sub(self.split.broken() + self.gone)
    }
}

/// `1 worker`, `3 workers`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Whether nothing was run: the findings come from a configuration alone.
pub fn nothing_was_run(recording: &Recording) -> bool {
    recording.about.complete && recording.workers.is_empty() && recording.zygote.pid == 0
}

/// A percentage for people: whole numbers, except below one and just short of all.
pub fn shown_percent(part: u64, whole: u64) -> String {
    let value = percent(part, whole);
    match value {
        _ if part == 0 => "0\u{a0}%".into(),
        v if v < 0.1 => "under\u{a0}0.1\u{a0}%".into(),
        v if v < 1.0 => format!("{v:.1}\u{a0}%"),
        v if v > 99.5 && part < whole => "over\u{a0}99\u{a0}%".into(),
        v => format!("{v:.0}\u{a0}%"),
    }
}

/// The same for columns: never wider than six characters.
pub fn column_percent(part: u64, whole: u64) -> String {
    let value = percent(part, whole);
    match value {
        _ if part > 0 && value < 0.1 => "<0.1\u{a0}%".into(),
        v if v > 99.5 && part < whole => ">99\u{a0}%".into(),
        _ => shown_percent(part, whole),
    }
}

/// What to type next: draw the capture, or measure again into a file.
pub fn next_command(recording: &Recording, capture: Option<&Path>) -> String {
    let about = &recording.about;
    let stem = about.title.rsplit_once('.').map_or(about.title.as_str(), |(stem, _)| stem);
    let stem = stem.rsplit('/').next().filter(|stem| !stem.is_empty()).unwrap_or("report");
    let target = shell_word(&format!("{stem}.html"));
    match capture {
        Some(folder) => format!("forkprint report {} -o {target}", shell_word(&folder.to_string_lossy())),
        None if about.command.is_empty() => "forkprint --help".into(),
        None => match about.command.split_once(" -- ") {
            // What follows is for the measured program.
            Some((ours, theirs)) => format!("{ours} -o {target} -- {theirs}"),
            None => format!("{} -o {target}", about.command),
        },
    }
}

/// A name in a sentence is at most so long, in characters.
pub const LONGEST_NAME: usize = 72;

/// A name of at most `most` characters; the middle of a longer one is left out.
pub fn clipped(name: &str, most: usize) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= most {
        return name.to_owned();
    }
    let tail = most.saturating_sub(1) / 2;
    let head = most.saturating_sub(1) - tail;
    characters[..head].iter().chain(&['…']).chain(&characters[characters.len() - tail..]).collect()
}

/// A count with its thousands set apart.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// An argument as a POSIX shell reads it back.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::synthetic::{Shape, recording};

    #[test]
    fn the_parts_add_up_to_the_broken_pages() {
        let recording = recording(Shape { pages: 5000, workers: 3, steps: 3, server: false, seed: 3 });
        for step in &recording.steps {
            for worker in &step.workers {
                assert_eq!(Split::of(worker).broken(), worker.broken);
                assert_eq!(Split::of(worker).copied(), worker.broken_by_worker);
            }
        }
        let summary = Summary::of(&recording).unwrap();
        assert_eq!(summary.shared() + summary.split.broken() + summary.gone, 15_000);
    }

    #[test]
    fn counts_that_contradict_each_other_do_not_underflow() {
        let worker =
            WorkerStep { broken: 5, broken_by_worker: 9, ghost: 7, uncompared: 8, ..WorkerStep::default() };
        assert_eq!(Split::of(&worker).broken(), 5);
    }

    #[test]
    fn percentages_never_round_to_none_or_all() {
        assert_eq!(shown_percent(1, 100_000), "under\u{a0}0.1\u{a0}%");
        assert_eq!(shown_percent(99_999, 100_000), "over\u{a0}99\u{a0}%");
        assert_eq!(shown_percent(1, 1), "100\u{a0}%");
        assert_eq!(shown_percent(0, 0), "0\u{a0}%");
        for (part, whole) in [(1, 100_000), (99_999, 100_000), (1, 1), (1, 200), (0, 0), (1, 2)] {
            assert!(column_percent(part, whole).chars().count() <= 6);
        }
    }

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(shell_word("a/b.py"), "a/b.py");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(clipped("libpython3.12.so.1.0 .data", 12), "libpyt….data");
        assert_eq!(clipped("größe", 5), "größe");
        assert_eq!(clipped("größer", 1), "…");
    }
}
