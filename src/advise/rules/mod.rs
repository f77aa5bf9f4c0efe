//! The rules, one file a remedy. A rule reads the evidence and says whether its remedy applies; the
//! experiment then decides whether it helps.

use crate::family::recording::Recording;
use crate::servers::gunicorn::{AtFork, Settings};
use std::path::Path;

/// What rules judge by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The program.
    pub target: Target<'a>,
    /// What was measured with the program as it is.
    pub recording: &'a Recording,
    /// Threads of the zygote at the fork.
    pub zygote_threads: usize,
}

/// The program that is to be remedied.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A gunicorn configuration.
    Gunicorn {
        /// What gunicorn makes of it.
        settings: &'a Settings,
        /// The master at its first fork.
        at_fork: Option<&'a AtFork>,
        /// Text of the configuration's file.
        text: &'a str,
    },
    /// A Python workload.
    Python {
        /// Its file.
        path: &'a Path,
        /// Its text.
        text: &'a str,
    },
}

/// One remedy.
#[derive(Debug)]
pub struct Rule {
    /// `FP001`…; never reused.
    pub code: &'static str,
    /// The remedy in a few words.
    pub title: &'static str,
    /// One sentence: what it changes and which writes that stops.
    pub summary: &'static str,
    /// What to know before using it.
    pub caveats: &'static [&'static str],
    /// Judges the evidence.
    pub judge: fn(&Evidence<'_>) -> Judgement,
}

/// Whether a remedy applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It does.
    Applies {
        /// What was measured or read, with numbers.
        evidence: String,
        /// What to change; nothing where only a person can.
        change: Option<Change>,
    },
    /// It does not, for this reason.
    DoesNot(String),
}

/// What a remedy changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Edits of the user's file.
    pub edits: Vec<Edit>,
    /// Variables to set for the zygote before it starts.
    pub environment: Vec<(String, String)>,
}

/// One edit of a Python source: a configuration or a workload. Edits of several rules combine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// `name = value` at module level, replacing an earlier assignment.
    Set {
        /// The setting.
        name: &'static str,
        /// Its value, as Python source.
        value: String,
    },
    /// Lines at the end of a function of the configuration, which is added where there is none.
    Hook {
        /// Name and parameters: `when_ready(server)`.
        signature: &'static str,
        /// Statements, without indentation.
        lines: Vec<String>,
    },
    /// Lines at the end of the module: in a workload, what the zygote does last before it forks.
    AtEnd {
        /// Statements.
        lines: Vec<String>,
    },
    /// Other lines instead of `first..=last`, counted from 1.
    Lines {
        /// First line.
        first: usize,
        /// Last line.
        last: usize,
        /// The new lines.
        lines: Vec<String>,
    },
}
