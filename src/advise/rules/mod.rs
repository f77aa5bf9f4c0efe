//! The rules, one file a remedy. A rule reads the evidence and says whether its remedy applies; the
//! experiment then decides whether it helps.

mod fp001;
mod fp002;
mod fp003;
mod fp004;
mod fp005;
mod fp006;
mod fp007;
mod fp008;
mod fp009;
mod fp010;
mod fp011;
mod fp012;
mod fp013;
mod fp015;
mod measured;
#[cfg(test)]
mod samples;
mod source;

use crate::family::recording::{Finding, Recording};
use crate::servers::gunicorn::{AtFork, Settings, lint};
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
    /// Paths that the load requests with GET, the most frequent first; empty for a workload.
    pub paths: &'a [String],
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

/// Every rule, in the order of codes. FP014, a misspelled setting, is a finding of the lint alone.
pub const RULES: &[&Rule] = &[
    &fp001::RULE,
    &fp002::RULE,
    &fp003::RULE,
    &fp004::RULE,
    &fp005::RULE,
    &fp006::RULE,
    &fp007::RULE,
    &fp008::RULE,
    &fp009::RULE,
    &fp010::RULE,
    &fp011::RULE,
    &fp012::RULE,
    &fp013::RULE,
    &fp015::RULE,
];

/// The order in which edits of several rules belong in one hook: what runs code before what prepares
/// the heap that the code leaves behind.
const IN_A_HOOK: [&str; 6] = ["FP005", "FP006", "FP004", "FP003", "FP002", "FP013"];

/// A rule as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `FP001`…
    pub code: &'static str,
    /// The remedy in a few words.
    pub title: &'static str,
    /// What it changes and which writes that stops.
    pub summary: &'static str,
    /// Its page, from the root of the project.
    pub page: String,
}

/// All rules, as lists show them.
pub fn list() -> Vec<Listed> {
    RULES.iter().map(|rule| rule.listed()).collect()
}

/// The rule of a code.
pub fn of_code(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}

/// Where in one hook the lines of a rule belong, against those of other rules: lower is earlier.
pub fn place_in_hook(code: &str) -> usize {
    IN_A_HOOK.iter().position(|other| *other == code).unwrap_or(0)
}

/// Rules whose whole change is part of this one's: trying both together measures this one again.
pub fn contained_in(code: &str) -> &'static [&'static str] {
    if code == "FP003" { &["FP002", "FP004"] } else { &[] }
}

impl Rule {
    /// The rule as lists show it.
    pub fn listed(&self) -> Listed {
        let page = format!("docs/remedies/{}.md", self.code);
        Listed { code: self.code, title: self.title, summary: self.summary, page }
    }
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

impl Judgement {
    fn applies(evidence: impl Into<String>, change: Change) -> Self {
        Self::Applies { evidence: evidence.into(), change: Some(change) }
    }

    /// It does, and only a person can make the change.
    fn by_hand(evidence: impl Into<String>) -> Self {
        Self::Applies { evidence: evidence.into(), change: None }
    }

    fn does_not(why: impl Into<String>) -> Self {
        Self::DoesNot(why.into())
    }
}

/// What a remedy changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Edits of the user's file.
    pub edits: Vec<Edit>,
    /// Variables to set for the zygote before it starts.
    pub environment: Vec<(String, String)>,
}

impl Change {
    fn edit(edit: Edit) -> Self {
        Self { edits: vec![edit], environment: Vec::new() }
    }

    /// Statements that the zygote runs last before it forks.
    fn before_fork(target: Target<'_>, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Self::edit(match target {
            Target::Gunicorn { .. } => Edit::Hook { signature: "when_ready(server)", lines },
            Target::Python { .. } => Edit::AtEnd { lines },
        })
    }

    fn with_environment(mut self, variables: &[(&str, &str)]) -> Self {
        self.environment.extend(variables.iter().map(|&(name, value)| (name.into(), value.into())));
        self
    }
}

impl Evidence<'_> {
    /// What the lint of configurations says under a code: title, evidence and fix are its words.
    fn lint(&self, code: &str) -> Option<Finding> {
        let Target::Gunicorn { settings, at_fork, .. } = self.target else { return None };
        lint(settings, at_fork).into_iter().find(|finding| finding.code == code)
    }

    /// Version of the interpreter; `None` where it is no `CPython`.
    fn cpython(&self) -> Option<(u8, u8)> {
        if let Target::Gunicorn { settings, .. } = self.target {
            let (major, minor, _) = settings.python;
            return (settings.implementation == "CPython").then_some((major, minor));
        }
        let version = self.recording.about.runtime_version.strip_prefix("CPython ")?;
        let mut parts = version.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    }
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
