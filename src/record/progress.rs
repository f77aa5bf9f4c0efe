//! Tells a person at a terminal what is being done.

use crate::report::printable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A line on stderr that changes as the work goes on; silent where stderr is no terminal.
#[derive(Debug, Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows what is done, if stderr is a terminal.
    pub fn terminal() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}{msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self(ProgressBar::hidden())
    }

    /// What is being done now.
    pub fn now(&self, doing: impl AsRef<str>) {
        self.0.set_message(printable(doing.as_ref()));
    }

    /// What is done next in several parts, each of which says what it is doing now.
    pub fn stage(&self, stage: impl AsRef<str>) {
        self.0.set_prefix(format!("{}: ", printable(stage.as_ref())));
    }

    /// Clears the line.
    pub fn done(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done();
    }
}
