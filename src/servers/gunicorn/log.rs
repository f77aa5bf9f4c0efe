//! What a server wrote before it failed, cut to what a person reads.

use crate::agent::FILE_NAME;

const QUOTED_LINES: usize = 12;
const LINE_WIDTH: usize = 240;
const TRACEBACK: &str = "Traceback (most recent call last)";

/// The lines that tell most: the end of the last traceback, or the last lines.
pub fn quote(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    let mut quoted = last_traceback(&lines).unwrap_or(&lines).to_vec();
    quoted.retain(|line| !is_noise(line));
    let skipped = quoted.len().saturating_sub(QUOTED_LINES);
    let mut shown: Vec<String> = quoted[skipped..].iter().map(|line| shorten(line)).collect();
    if skipped > 0 {
        shown.insert(0, "...".into());
    }
    shown.join("\n")
}

/// The last traceback that tells a cause. When a second worker fails while gunicorn stops for the
/// first, gunicorn itself raises `HaltServer`; that one tells nothing.
fn last_traceback<'a, 'b>(lines: &'a [&'b str]) -> Option<&'a [&'b str]> {
    let begins = (0..lines.len()).rev().filter(|&index| lines[index].contains(TRACEBACK));
    let mut tracebacks = begins.map(|begin| &lines[begin..end_of_traceback(lines, begin)]);
    tracebacks.find(|traceback| !traceback.iter().any(|line| line.contains(".HaltServer: ")))
}

/// One past the exception's own lines: the first line after the indented frames, and what follows
/// until gunicorn's next log line.
fn end_of_traceback(lines: &[&str], begin: usize) -> usize {
    let frames = lines[begin + 1..].iter().take_while(|line| line.starts_with(' ')).count();
    let exception = begin + 1 + frames;
    let message =
        lines[exception.min(lines.len())..].iter().take_while(|line| !line.starts_with("[20")).count();
    exception + message
}

/// Frames of the import machinery, the marks under source lines, and what the dynamic linker says where
/// it cannot preload our library.
fn is_noise(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("File \"<frozen ")
        || line.starts_with("ERROR: ld.so: object ") && line.contains(FILE_NAME)
        || !line.is_empty() && line.chars().all(|c| matches!(c, '^' | '~' | ' '))
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(LINE_WIDTH) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_traceback_is_quoted_without_the_log_lines_around_it() {
        let log = "[2026-01-01] [1] [INFO] Starting\nTraceback (most recent call last):\n  File \"<frozen importlib._bootstrap>\", line 9\n  File \"a.py\", line 1\n    boom()\n    ~~~~^^\nValueError: no\n[2026-01-01] [1] [INFO] Worker exiting\n";
        assert_eq!(
            quote(log),
            "Traceback (most recent call last):\n  File \"a.py\", line 1\n    boom()\nValueError: no"
        );
    }

    #[test]
    fn gunicorns_own_exception_does_not_hide_the_cause() {
        let log = "Traceback (most recent call last):\n  x\nValueError: no\n[20] Worker exiting\nTraceback (most recent call last):\n  y\ngunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>\n";
        assert!(quote(log).ends_with("ValueError: no"), "{}", quote(log));
    }

    #[test]
    fn without_a_traceback_the_last_lines_are_quoted() {
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let quoted = quote(&lines.join("\n"));
        assert!(quoted.starts_with("...\nline 88\n") && quoted.ends_with("line 99"), "{quoted}");
        assert_eq!(quote(""), "");
        let linker =
            format!("ERROR: ld.so: object '/tmp/{FILE_NAME}' from LD_PRELOAD cannot be preloaded: ignored.");
        assert_eq!(quote(&format!("{linker}\ncannot bind")), "cannot bind");
        assert_eq!(quote(&"é".repeat(1000)).chars().count(), LINE_WIDTH + 3);
    }
}
