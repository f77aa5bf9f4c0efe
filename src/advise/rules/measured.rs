//! What a recording says to rules: pages by first writer, once the cost of the fork itself and the
//! teardown of workers are left out.

use super::{Evidence, Target, source};
use crate::family::Witness;
use crate::family::breaks::{Break, Flags};
use crate::family::cause::Cause;
use crate::family::recording::{Recording, Step, step_number};
use crate::report::ranking::{Ranking, Selection};
use crate::report::{counted, shown_percent};
use crate::units::Bytes;

/// Fewer pages a worker than this are what any fork costs, and no experiment can show their saving.
const LEAST_PAGES: u64 = 256;
/// Nor is less than this share of what a worker breaks, in percent, worth a change.
const LEAST_SHARE: u64 = 1;

/// The broken pages of a recording, and how many workers broke them.
pub(super) struct Measured<'a> {
    recording: &'a Recording,
    /// Whoever wrote.
    all: Ranking<'a>,
    /// Written by workers first.
    ranking: Ranking<'a>,
    step: &'a Step,
    workers: u64,
}

impl<'a> Measured<'a> {
    /// Looks at the step at which most was broken.
    pub fn of(evidence: &Evidence<'a>) -> Result<Self, String> {
        let recording = evidence.recording;
        let (text, first) = match evidence.target {
            // Starting a worker is part of what it costs; forking one is not.
            Target::Gunicorn { .. } => ("", 0),
            Target::Python { text, .. } => (text, 1),
        };
        let ends: Vec<String> =
            source::steps(text).into_iter().filter(|step| step.finalize).map(|step| step.name).collect();
        let steps = recording.steps.iter().enumerate();
        let lived = steps.filter(|(_, step)| !step.workers.is_empty() && !ends.contains(&step.name));
        let broken = |step: &Step| step.workers.iter().map(|worker| worker.broken).sum::<u64>();
        let (index, step) =
            lived.max_by_key(|(_, step)| broken(step)).ok_or("no worker lived to be measured")?;
        let selection = Selection { broken_after: Some(step_number(index)), ..Selection::default() };
        let ranking = Ranking::of(recording, selection).only(|row: &Break| row.step >= first);
        let of_workers = ranking.only(|row| !row.flags.has(Flags::BY_ZYGOTE));
        Ok(Self { recording, all: ranking, ranking: of_workers, step, workers: step.workers.len() as u64 })
    }

    /// The same, where single writes were witnessed.
    pub fn witnessed(evidence: &Evidence<'a>) -> Result<Self, String> {
        if evidence.recording.about.witness == Witness::None {
            return Err("which writes broke the pages is not known: measured without a witness".into());
        }
        Self::of(evidence)
    }

    /// What the zygote wrote after the fork, of pages that workers share with it.
    pub fn by_zygote(&self) -> Ranking<'a> {
        self.all.only(|row| row.flags.has(Flags::BY_ZYGOTE))
    }

    /// Everything that workers broke.
    pub fn ranking(&self) -> &Ranking<'a> {
        &self.ranking
    }

    /// Mean of the workers.
    pub fn per_worker(&self, pages: u64) -> u64 {
        pages / self.workers.max(1)
    }

    /// Pages that one worker no longer shares, whoever wrote them.
    fn broken(&self) -> u64 {
        self.per_worker(self.step.workers.iter().map(|worker| worker.broken).sum())
    }

    /// Broken pages of one worker whose copy bought nothing.
    pub fn all_ghosts(&self) -> u64 {
        let ghosts = self.step.workers.iter().map(|worker| worker.ghost - worker.ghost_zygote_only);
        self.per_worker(ghosts.sum())
    }

    /// Breaks of one class.
    pub fn of_cause(&self, cause: Cause) -> Ranking<'a> {
        self.ranking.only(|row| row.cause == cause)
    }

    /// Whether so many pages of one worker are worth a change.
    pub fn matters(&self, pages: u64) -> bool {
        pages >= LEAST_PAGES && pages * 100 >= self.broken() * LEAST_SHARE
    }

    /// Evidence of one class of writes, or why there is too little.
    pub fn judge(&self, cause: Cause) -> Result<String, String> {
        self.judge_rows(&self.of_cause(cause), cause.phrase())
    }

    /// Evidence of some breaks, or why they are too few.
    pub fn judge_rows(&self, rows: &Ranking<'a>, writer: &str) -> Result<String, String> {
        let pages = self.per_worker(rows.pages());
        let of = Bytes::of_pages(self.broken());
        if !self.matters(pages) {
            let how_many =
                if pages == 0 { "none".into() } else { format!("only {}", Bytes::of_pages(pages)) };
            return Err(format!("{how_many} of the {of} a worker lost was first written by {writer}"));
        }
        Ok(format!(
            "{} of the {of} that each of {} lost, first written by {writer}; {} of it is ghosts{}",
            Bytes::of_pages(pages),
            self.workers_shown(),
            shown_percent(rows.ghosts(), rows.pages()),
            Self::most_at(rows)
        ))
    }

    /// `2 workers`.
    pub fn workers_shown(&self) -> String {
        counted(usize::try_from(self.workers).unwrap_or(usize::MAX), "worker")
    }

    /// The line that broke most of some pages, where it is a tenth at least: `; 92 % in shop.py:14 search`.
    pub fn most_at(rows: &Ranking<'a>) -> String {
        let lines = rows.by_line();
        let line = lines.iter().find(|line| line.place.is_some() && 10 * line.pages >= rows.pages());
        line.map_or_else(String::new, |line| {
            format!("; {} in {}", shown_percent(line.pages, rows.pages()), line.name)
        })
    }

    /// Pages that every worker made for itself up to a step: the least of the workers.
    pub fn fresh_after(step: &Step) -> u64 {
        step.workers.iter().map(|worker| worker.fresh).min().unwrap_or(0)
    }

    /// The recording.
    pub fn recording(&self) -> &'a Recording {
        self.recording
    }
}
