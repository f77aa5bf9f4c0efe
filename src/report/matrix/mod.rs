//! What a laboratory found: programs against policies, step by step, and how to show it.
//!
//! Counts are pages of one worker in the regions that the runtime itself can name, cumulative since
//! the fork. Where there are several workers, they are the mean of all.

mod best;
pub mod html;
pub(super) mod legend;
pub mod text;

pub use best::{Agreement, Best, Standing};

use crate::family::Rung;
use crate::units::PAGE_SIZE;
use serde::{Deserialize, Serialize};

/// Version of the JSON form. Fields are added, never removed or renamed.
pub const SCHEMA_VERSION: u32 = 1;

/// Programs × policies × steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The command line that repeats it.
    pub command: String,
    /// When it began, in seconds since 1970.
    pub created_unix: u64,
    /// Version of forkprint.
    pub forkprint_version: String,
    /// `uname -sr`.
    pub kernel: String,
    /// Architecture, processors and memory, for people.
    pub machine: String,
    /// Evidence that every cell rests on.
    pub rung: Rung,
    /// Bytes in a page.
    pub page_size: u64,
    /// Workers of each family.
    pub workers: usize,
    /// How long all of it took.
    pub seconds: f64,
    /// False when it was interrupted: then cells are missing.
    pub complete: bool,
    /// The policies, in the order they were asked for.
    pub policies: Vec<Policy>,
    /// The programs, in the order they were asked for.
    pub programs: Vec<Program>,
    /// What was measured, by program, then by policy.
    pub cells: Vec<Cell>,
    /// What could not be measured.
    pub failures: Vec<Failure>,
}

/// One way to run programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How it is written on the command line: `mark-bitmap+freeze`.
    pub name: String,
    /// What it does, for people.
    pub description: String,
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Name of its file, without the ending.
    pub name: String,
    /// The comment at its top; may be empty.
    pub description: String,
    /// Its steps, in the order they run.
    pub steps: Vec<String>,
}

/// One program under one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Name of the program.
    pub program: String,
    /// Name of the policy.
    pub policy: String,
    /// Pages that a worker inherits in the runtime's regions.
    pub inherited: u64,
    /// Where the whole measurement is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capture: Option<String>,
    /// One entry for each step.
    pub steps: Vec<CellStep>,
}

/// A worker after one step, in pages since the fork.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CellStep {
    /// Name of the step.
    pub step: String,
    /// Pages that the worker does not share: broken and fresh ones.
    pub private: u64,
    /// What the model expects of `private`; nothing where there is no model.
    pub predicted: Option<f64>,
    /// Inherited pages that the worker wrote.
    pub broken: u64,
    /// Pages that it made after the fork.
    pub fresh: u64,
    /// Inherited pages of the whole process that are no longer mapped.
    pub gone: u64,
    /// Bytes of broken pages that differ from those at the fork.
    pub bytes_changed: u64,
    /// Bytes of the broken pages for each byte that differs; nothing where none does.
    pub amplification: Option<f64>,
    /// How long this step alone took, in nanoseconds.
    pub nanoseconds: u64,
    /// The same by region of the runtime; regions where nothing happens and nothing is expected are left out.
    pub regions: Vec<RegionPages>,
}

/// One region of one worker after one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RegionPages {
    /// The region's name.
    pub name: String,
    /// Pages inherited.
    pub inherited: u64,
    /// Of these, broken.
    pub broken: u64,
    /// Pages made after the fork.
    pub fresh: u64,
    /// Bytes of broken pages that differ from those at the fork.
    pub bytes_changed: u64,
    /// What the model expects of `broken + fresh`.
    pub predicted: Option<f64>,
}

/// A cell that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the program.
    pub program: String,
    /// Name of the policy.
    pub policy: String,
    /// What happened.
    pub why: String,
}

impl Matrix {
    /// The cell of a program under a policy.
    pub fn cell(&self, program: &str, policy: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.program == program && cell.policy == policy)
    }

    /// What one step left, of a program under a policy.
    pub fn at(&self, program: &str, step: usize, policy: &str) -> Option<&CellStep> {
        self.cell(program, policy)?.steps.get(step)
    }

    /// Every row: a program and one of its steps.
    pub fn rows(&self) -> impl Iterator<Item = (&Program, usize)> {
        self.programs.iter().flat_map(|program| (0..program.steps.len()).map(move |step| (program, step)))
    }

    /// Policies with at least one cell.
    pub fn measured_policies(&self) -> Vec<&Policy> {
        let has_cell = |policy: &&Policy| self.cells.iter().any(|cell| cell.policy == policy.name);
        self.policies.iter().filter(has_cell).collect()
    }

    /// The matrix as one indented JSON object, with a line break at its end.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists always have a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

impl CellStep {
    /// Fills in what follows from the counts.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    #[must_use]
    pub fn with_totals(mut self) -> Self {
        self.private = self.broken + self.fresh;
        self.amplification =
            (self.bytes_changed > 0).then(|| (self.broken * PAGE_SIZE) as f64 / self.bytes_changed as f64);
        self
    }

    /// Whether the model is right within 5 % or 2 pages; nothing where there is no model.
    #[expect(clippy::cast_precision_loss, reason = "page counts stay far below 2^52")]
    pub fn is_predicted(&self) -> Option<bool> {
        let (measured, predicted) = (self.private as f64, self.predicted?);
        let off = (measured - predicted).abs();
        Some(off <= 2.0 || off <= 0.05 * measured)
    }
}
