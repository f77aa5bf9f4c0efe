//! Headless Chromium, where there is one.

use super::skip::skip;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What headless Chromium made of a page: its document after all scripts ran, and its console.
pub struct Seen {
    /// The document.
    pub document: String,
    /// What scripts and the browser complained of.
    pub console: Vec<String>,
}

fn browse(page: &Path) -> Option<Seen> {
    let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|program| {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    })?;
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &Duration::from_secs(120).as_secs().to_string(), program]);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ]);
    command.args([
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--v=0",
        "--virtual-time-budget=20000",
    ]);
    command
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()));
    let output = command.output().unwrap();
    let console = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .map(str::to_owned)
        .collect();
    Some(Seen { document: String::from_utf8_lossy(&output.stdout).into_owned(), console })
}

/// Opens a document, or skips.
pub fn opened(document: &str) -> Option<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    std::fs::write(&page, document).unwrap();
    let seen = browse(&page);
    if seen.is_none() {
        skip("no Chromium on PATH");
    }
    seen
}
