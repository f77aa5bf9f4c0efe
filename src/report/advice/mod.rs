//! What the experiments with remedies found, and how to show it.
//!
//! Sizes are bytes; savings are positive where a remedy gives memory back.

pub mod html;
pub mod text;
mod words;

pub(super) use words::verdict;

use crate::family::Rung;
use crate::family::recording::Recording;
use serde::{Deserialize, Serialize};

/// Version of the JSON form. Fields are added, never removed or renamed.
pub const SCHEMA_VERSION: u32 = 1;

/// A mean over rounds, with the ends of its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// Lower end.
    pub low: f64,
    /// Mean.
    pub mean: f64,
    /// Upper end.
    pub high: f64,
}

/// Everything that was tried on one program.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Advice {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of forkprint.
    pub forkprint_version: String,
    /// The command line that repeats it.
    pub command: String,
    /// Name of the program or configuration.
    pub title: String,
    /// The user's file that the diffs are for.
    pub file: String,
    /// Version of the runtime or server.
    pub runtime_version: String,
    /// `uname -sr`.
    pub kernel: String,
    /// Architecture, processors and memory, for people.
    pub machine: String,
    /// When it began, in seconds since 1970.
    pub created_unix: u64,
    /// How long all of it took.
    pub seconds: f64,
    /// Evidence of the measurements.
    pub rung: Option<Rung>,
    /// Workers of each family.
    pub workers: u32,
    /// How often each variant was measured.
    pub rounds: u32,
    /// False when it was interrupted.
    pub complete: bool,
    /// Every rule, in the order of codes.
    pub rules: Vec<RuleStanding>,
    /// What was measured; the first is the program as it is.
    pub variants: Vec<VariantResult>,
    /// From today to the physical limit.
    pub waterfall: Waterfall,
    /// What to do; nothing where no remedy helps.
    pub recommended: Option<Recommendation>,
    /// Remarks on how it was measured.
    pub notes: Vec<String>,
    /// The program as it is, with every page. Not in JSON.
    #[serde(skip)]
    pub before: Option<Box<Recording>>,
    /// The program as recommended, with every page. Not in JSON.
    #[serde(skip)]
    pub after: Option<Box<Recording>>,
}

/// One rule, and what became of it here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleStanding {
    /// `FP001`…
    pub code: String,
    /// The remedy in a few words.
    pub title: String,
    /// Whether its condition holds.
    pub applies: bool,
    /// What was measured or read: why it applies, or why not.
    pub evidence: String,
    /// What its own experiment gave back, family-wide; nothing where there was none.
    pub saving: Option<Estimate>,
    /// What to know before using it.
    pub caveats: Vec<String>,
}

/// A variant of the program, measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VariantResult {
    /// `today`, `FP002`, `FP002 + FP003`…
    pub name: String,
    /// Codes of the remedies in it.
    pub codes: Vec<String>,
    /// Rounds that were measured to their end.
    pub rounds: u32,
    /// Distinct frames of the family at the end of the load.
    pub family: Estimate,
    /// `family` of the program as it is, less this one's, round by round.
    pub saving: Estimate,
    /// Broken by the worker, mean of the workers.
    pub broken: Estimate,
    /// Fresh, mean of the workers.
    pub fresh: Estimate,
    /// Broken pages of one worker by what wrote them first.
    pub split: Split,
    /// Seconds from the start to the first fork.
    pub startup_seconds: Estimate,
    /// Requests or steps a second.
    pub throughput: Estimate,
    /// What to make of it.
    pub verdict: Verdict,
    /// Why it could not be measured.
    pub failure: Option<String>,
}

/// Whether a variant helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The program as it is.
    #[default]
    Baseline,
    /// The whole interval of the saving lies above zero, and above what the program varies by itself.
    Helps,
    /// No difference that the rounds can show.
    DoesNotHelp,
    /// It costs memory.
    Harms,
    /// It broke the program; it was measured no further.
    Failed,
}

/// Broken bytes of one worker by the first writer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Split {
    /// Headers and lists of the collector.
    pub collector: f64,
    /// Reference counts.
    pub refcount: f64,
    /// Caches and specialisation.
    pub caches: f64,
    /// The allocator and everything else, ghosts only.
    pub other: f64,
    /// Pages whose bytes really differ, whatever wrote them.
    pub real: f64,
}

/// From today to the physical limit, family-wide private bytes of the workers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Waterfall {
    /// Broken bytes of all workers today.
    pub today: f64,
    /// What each remedy of the recommendation takes off, in the order they were added.
    pub steps: Vec<WaterfallStep>,
    /// What is left with all of them.
    pub remaining: f64,
    /// Pages that must be copied because their bytes differ: broken less ghosts, today.
    pub limit: f64,
}

/// One step down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WaterfallStep {
    /// Codes that this step adds.
    pub label: String,
    /// Bytes it gives back.
    pub saving: Estimate,
}

/// One configuration to use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recommendation {
    /// Codes of the remedies in it.
    pub codes: Vec<String>,
    /// Unified diff of the user's file; empty where the file stays as it is.
    pub diff: String,
    /// Variables to set for the server, `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Distinct bytes of the family that it gives back.
    pub saving: Estimate,
    /// The part of the ghost bytes of today that it gives back, from 0 to 1.
    pub of_ghosts: f64,
    /// Start-up seconds it adds.
    pub startup_seconds: f64,
    /// Throughput against today's: 1 is equal.
    pub throughput: f64,
}
