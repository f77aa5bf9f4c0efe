//! What one measurement found: the value that captures store and reports draw.

use super::breaks::{Breaks, Witness};
pub use super::rung::Rung;
pub use super::worker_step::WorkerStep;
use super::{Ledger, PageState};
use crate::units::PAGE_SIZE;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the JSON output and of captures. Fields are added, never removed or renamed.
pub const SCHEMA_VERSION: u32 = 1;

/// A whole measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// What was measured, by whom and where.
    pub about: About,
    /// The process the workers were forked from, at the fork.
    pub zygote: ZygoteSummary,
    /// The workers, in the order of their forks.
    pub workers: Vec<WorkerInfo>,
    /// What was found after the fork and after each step, in order. The first is named `fork`.
    pub steps: Vec<Step>,
    /// How the counts of the last step are accounted for.
    pub reconciliation: Reconciliation,
    /// Coded remarks on the program or the configuration.
    pub findings: Vec<Finding>,
    /// Every inherited page of every worker. Stored as a table, not in JSON.
    #[serde(skip)]
    pub pages: PageHistory,
    /// Every broken page, explained. Stored as tables, not in JSON.
    #[serde(skip)]
    pub breaks: Breaks,
}

/// What was measured, by whom and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Short name for titles: the workload's file name or the configuration's folder.
    pub title: String,
    /// What the workload says of itself (docstring, header comment); may be empty.
    pub description: String,
    /// The command line that repeats the measurement.
    pub command: String,
    /// `python`, `toy`, `server` or `command`.
    pub runtime: String,
    /// Version of the runtime or server, e.g. `CPython 3.12.1`.
    pub runtime_version: String,
    /// Evidence used.
    pub rung: Rung,
    /// How breaks were witnessed.
    #[serde(default = "no_witness")]
    pub witness: Witness,
    /// Bytes in a page.
    pub page_size: u64,
    /// When the measurement began, in seconds since 1970.
    pub created_unix: u64,
    /// Version of forkprint.
    pub forkprint_version: String,
    /// `uname -sr`.
    pub kernel: String,
    /// Architecture, processors and memory, for people.
    pub machine: String,
    /// Effective user id of the measurement.
    pub uid: u32,
    /// False when the measurement ended early; the findings say why.
    pub complete: bool,
    /// Remarks on how it was measured (weaker rung than possible, fallbacks).
    pub notes: Vec<String>,
}

impl About {
    /// The runtime for people: `CPython 3.12.1`, and `toy 0.1.0` where the version is a bare number.
    pub fn runtime_shown(&self) -> String {
        if self.runtime_version.starts_with(|first: char| first.is_ascii_digit()) {
            format!("{} {}", self.runtime, self.runtime_version)
        } else {
            self.runtime_version.clone()
        }
    }
}

/// Recordings of the first version had none.
const fn no_witness() -> Witness {
    Witness::None
}

impl Default for About {
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            title: String::new(),
            description: String::new(),
            command: String::new(),
            runtime: String::new(),
            runtime_version: String::new(),
            rung: Rung::Rollup,
            witness: Witness::None,
            page_size: PAGE_SIZE,
            created_unix: 0,
            forkprint_version: env!("CARGO_PKG_VERSION").into(),
            kernel: String::new(),
            machine: String::new(),
            uid: 0,
            complete: false,
            notes: Vec::new(),
        }
    }
}

/// The zygote at the fork.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ZygoteSummary {
    /// Process id.
    pub pid: u32,
    /// Private pages: what every worker inherits.
    pub private_pages: u64,
    /// Resident set, in bytes.
    pub rss_bytes: u64,
    /// Of `private_pages`, those in each region that the runtime itself can name; zero where it holds
    /// none yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtime_regions: BTreeMap<String, u64>,
}

/// One worker and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Index, from 0.
    pub worker: u32,
    /// Process id.
    pub pid: u32,
    /// How it ended.
    pub fate: Fate,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fate {
    /// Served until we stopped it.
    Finished,
    /// Left by itself.
    Exited {
        /// Exit status.
        code: i32,
        /// Step during which it happened.
        step: String,
    },
    /// Killed by a signal.
    Killed {
        /// Name of the signal, e.g. `SIGSEGV`.
        signal: String,
        /// Step during which it happened.
        step: String,
    },
    /// A step raised; the worker lived on.
    Failed {
        /// Exception and message.
        message: String,
        /// Step that raised.
        step: String,
    },
    /// Did not answer before the deadline and was killed.
    Hung {
        /// Step that did not end.
        step: String,
    },
}

/// The family after one step. Counts are pages, cumulative since the fork.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Step {
    /// Name of the step: `fork`, then the workload's, or `100 requests`.
    pub name: String,
    /// Requests served by the whole family so far, for servers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub requests: Option<u64>,
    /// Seconds since the fork.
    pub seconds: f64,
    /// One entry for each worker alive.
    pub workers: Vec<WorkerStep>,
    /// Broken pages by region, summed over the workers.
    pub regions: BTreeMap<String, u64>,
    /// Fresh pages by region of the runtime, summed over the workers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fresh_regions: BTreeMap<String, u64>,
    /// Bytes that differ from the fork-time bytes by region, summed over the workers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed_regions: BTreeMap<String, u64>,
    /// Broken pages by cause, summed over the workers.
    pub causes: BTreeMap<String, u64>,
    /// Who pays for the private memory of zygote and workers.
    pub ledger: Ledger,
    /// The kernel's own totals, as a second method.
    pub cross_check: CrossCheck,
}

/// Totals of `smaps_rollup` beside ours, in bytes, summed over the members named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CrossCheck {
    /// `Private_Dirty` of all workers, by the kernel.
    pub workers_private_dirty: u64,
    /// The same by our page table walk: exclusively held private pages of all workers.
    pub workers_unique: u64,
    /// `Pss_Anon` of every process that maps family frames, by the kernel.
    pub family_pss_anon: u64,
    /// The same by our frame count: distinct frames.
    pub family_distinct: u64,
    /// `AnonHugePages` of all workers, by the kernel: memory in transparent huge pages.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub workers_anon_huge: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How the broken pages of the last step, summed over the workers, are accounted for.
///
/// `broken = explained + kernel_writes + floor + unexplained`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reconciliation {
    /// Broken pages.
    pub broken: u64,
    /// With a cause that two witnesses agree on.
    pub explained: u64,
    /// Written by the kernel on the worker's behalf.
    pub kernel_writes: u64,
    /// Already broken when the workers first stood still after the fork.
    pub floor: u64,
    /// The rest.
    pub unexplained: u64,
    /// Break events the kernel counted but did not deliver.
    pub lost_samples: u64,
}

/// A coded remark with its evidence and its fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `FP001`…
    pub code: String,
    /// One line.
    pub title: String,
    /// What was measured or read.
    pub evidence: String,
    /// The least change that helps.
    pub fix: String,
}

/// The fate of every inherited page in every worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageHistory {
    /// Names of the regions; runs refer to them by index.
    pub regions: Vec<String>,
    /// Inherited pages in address order; disjoint.
    pub runs: Vec<PageRun>,
    /// One entry for each worker, in worker order.
    pub workers: Vec<WorkerPages>,
}

impl PageHistory {
    /// Number of inherited pages.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len as usize).sum()
    }

    /// Whether there is no page.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// Consecutive inherited pages of one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRun {
    /// First virtual page number.
    pub first: u64,
    /// Pages.
    pub len: u32,
    /// Index in [`PageHistory::regions`].
    pub region: u32,
}

/// The inherited pages of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerPages {
    /// Index of the worker.
    pub worker: u32,
    /// One cell for each inherited page, in page order.
    pub cells: Vec<PageCell>,
    /// What pages looked like before they became what their cell says; by page, then by time.
    pub earlier: Vec<Transition>,
    /// Pages made after the fork: (first page, pages).
    pub fresh: Vec<(u64, u32)>,
}

impl WorkerPages {
    /// What each page looked like after step `step`.
    pub fn at_step(&self, step: u8) -> Vec<(PageState, Content)> {
        let seen = |cell: &PageCell| {
            if cell.step <= step {
                (cell.state, cell.content)
            } else {
                (PageState::Shared, Content::NotCompared)
            }
        };
        let mut pages: Vec<_> = self.cells.iter().map(seen).collect();
        // Backwards, so that of all transitions that had not happened yet the first one wins.
        for earlier in self.earlier.iter().rev().filter(|earlier| step <= earlier.until) {
            let index = earlier.page as usize;
            if self.cells.get(index).is_some_and(|cell| cell.step <= step) {
                pages[index] = (earlier.state, earlier.content);
            }
        }
        pages
    }
}

/// What a page, once broken or gone, looked like until it changed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Index of the inherited page.
    pub page: u32,
    /// Index in [`Recording::steps`] of the last step at which it looked so.
    pub until: u8,
    /// What had become of it.
    pub state: PageState,
    /// Whether the copy had bought anything.
    pub content: Content,
}

/// One inherited page in one worker, at the end of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCell {
    /// What became of it.
    pub state: PageState,
    /// Index in [`Recording::steps`] at which it was first seen broken or gone; [`NO_STEP`] if never.
    pub step: u8,
    /// Whether the copy bought anything.
    pub content: Content,
    /// Bytes that differ from the fork-time bytes.
    pub bytes_changed: u16,
}

/// A page that was never seen broken or gone. Steps beyond this number share the last one.
pub const NO_STEP: u8 = u8::MAX;

/// How pages write down the step of this index.
pub fn step_number(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(NO_STEP).min(NO_STEP - 1)
}

impl Default for PageCell {
    fn default() -> Self {
        Self { state: PageState::Shared, step: NO_STEP, content: Content::NotCompared, bytes_changed: 0 }
    }
}

/// The bytes of a broken page against its fork-time bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Content {
    /// Not broken, or the fork-time bytes were not to be had.
    NotCompared = 0,
    /// A ghost: every byte is equal.
    Equal = 1,
    /// At least one byte differs.
    Differs = 2,
}

impl Fate {
    /// The name of the variant, as captures and JSON write it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Exited { .. } => "exited",
            Self::Killed { .. } => "killed",
            Self::Failed { .. } => "failed",
            Self::Hung { .. } => "hung",
        }
    }
}
