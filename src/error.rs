//! The one error type: what failed, where, why (measured, not guessed), and the least fix.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Result of every fallible operation in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit code of the command line when everything was measured and no threshold was exceeded.
pub const EXIT_OK: i32 = 0;
/// Exit code when a threshold of `check` was exceeded.
pub const EXIT_THRESHOLD: i32 = 1;
/// Exit code when something could not be measured, or the command line was wrong.
pub const EXIT_FAILED: i32 = 2;

/// A failure told in four parts, printed one a line.
///
/// `what` could not be done, `location` says where (a path, a pid), `why` quotes what the system
/// answered, and `fix` is the smallest thing that would make it work.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
pub struct Error {
    what: String,
    location: Option<String>,
    why: Option<String>,
    fix: Option<String>,
    interrupted: bool,
}

impl Error {
    /// An error that says what could not be done.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), location: None, why: None, fix: None, interrupted: false }
    }

    /// The user asked to stop (Ctrl-C): not a defect, yet nothing was finished.
    pub fn interrupted() -> Self {
        Self { interrupted: true, ..Self::new("interrupted") }
    }

    /// Names the file the error is about.
    #[must_use]
    pub fn path(self, path: impl Into<PathBuf>) -> Self {
        let shown = path.into().display().to_string();
        self.location(shown)
    }

    /// Names the process the error is about.
    #[must_use]
    pub fn pid(self, pid: u32) -> Self {
        self.location(format!("process {pid}"))
    }

    /// Names any other place the error is about.
    #[must_use]
    pub fn location(mut self, place: impl Into<String>) -> Self {
        self.location = Some(place.into());
        self
    }

    /// Quotes the reason, as the system gave it.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Names the least change that would make it work.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// True when the user interrupted the work.
    pub fn is_interrupt(&self) -> bool {
        self.interrupted
    }

    /// What could not be done, without the reason.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The reason in one line: of a traceback the exception, else the first line.
    pub fn reason(&self) -> Option<&str> {
        let why = self.why.as_deref()?.trim();
        let traced = why.contains("\n  File ") || why.starts_with("Traceback ");
        let mut lines = why.lines().map(str::trim).filter(|line| !line.is_empty());
        if traced { lines.next_back() } else { lines.next() }
    }

    /// All of it, for a note beside other text.
    pub fn in_one_line(&self) -> String {
        let place = self.location.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        let why = self
            .why
            .as_ref()
            .map(|why| format!(": {}", why.trim_end().replace('\n', "; ")))
            .unwrap_or_default();
        let fix = self.fix.as_ref().map(|fix| format!("; to allow it: {fix}")).unwrap_or_default();
        format!("{}{place}{why}{fix}", self.what)
    }

    /// The least fix, where one is known.
    pub fn suggested_fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(place) = &self.location {
            write!(f, "\n  where: {place}")?;
        }
        if let Some(why) = &self.why {
            write!(f, "\n  why:   {}", why.trim_end().replace('\n', "\n         "))?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "\n  fix:   {fix}")?;
        }
        Ok(())
    }
}

/// Turns an I/O style failure into an [`Error`] that says what was being done and where.
pub trait Context<T> {
    /// Adds what could not be done and the path it was about.
    fn at(self, what: &str, path: impl Into<PathBuf>) -> Result<T>;
    /// Adds what could not be done.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn at(self, what: &str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|e| Error::new(what).path(path).why(e))
    }

    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|e| Error::new(what).why(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_traceback_is_its_exception() {
        let with = |why: &str| Error::new("no").why(why);
        let traceback =
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: no such thing\n";
        assert_eq!(with(traceback).reason(), Some("ValueError: no such thing"));
        assert_eq!(with("...\n  File \"a.py\", line 1\nKeyError: 3").reason(), Some("KeyError: 3"));
        assert_eq!(with("5 with status 500\noops").reason(), Some("5 with status 500"));
        assert_eq!(Error::new("no").reason(), None);
    }

    #[test]
    fn prints_what_where_why_and_fix_on_lines_of_their_own() {
        let error = Error::new("cannot read the page map")
            .pid(7)
            .why("Permission denied (os error 13)")
            .fix("run as the same user");
        assert_eq!(
            error.to_string(),
            "cannot read the page map\n  where: process 7\n  why:   Permission denied (os error 13)\n  fix:   run as the same user"
        );
    }
}
