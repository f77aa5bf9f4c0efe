//! Colours and bars of a terminal.

use anstyle::{AnsiColor, Style};

/// Colours, only where asked.
pub(in crate::report) struct Paint {
    /// Whether to colour at all.
    pub color: bool,
}

impl Paint {
    fn with(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let body = text.trim_end_matches('\n');
        format!("{style}{body}{style:#}{}", &text[body.len()..])
    }

    /// What matters most.
    pub fn bold(&self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// What can be skipped.
    pub fn dim(&self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    /// What went wrong.
    pub fn warn(&self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default().bold(), text)
    }

    /// Bars.
    pub fn accent(&self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }
}

/// A bar of at most `width` characters, in eighths of a character.
pub(in crate::report) fn bar(part: u64, whole: u64, width: usize) -> String {
    let eighths = usize::try_from(part.saturating_mul(width as u64 * 8) / whole.max(1)).unwrap_or(0).max(1);
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}
