//! A verdict for people, a line a check; and as annotations of GitHub Actions.

use super::{Check, Measure, Verdict};
use crate::error::Error;
use crate::report::printable;
use crate::report::summary::{counted, shown_percent};
use crate::report::text::paint::Paint;
use crate::units::Bytes;
use std::fmt::Write;

/// One line a check, then the sum.
pub fn render(verdict: &Verdict, color: bool) -> String {
    let paint = Paint { color };
    let mut text = String::new();
    for check in &verdict.checks {
        let word = if check.exceeded { paint.warn("EXCEEDED") } else { "ok      ".to_owned() };
        let _ = writeln!(text, "{word}  {:<11}  {}", check.measure.name(), sentence(check));
        if let Some(regions) = regions(check) {
            text.push_str(&paint.dim(&format!("                       most of it in {regions}\n")));
        }
    }
    for note in &verdict.notes {
        text.push_str(&paint.dim(&format!("note: {note}\n")));
    }
    text.push_str(&paint.bold(&format!("{}\n", sum(verdict))));
    text
}

/// `2 of 3 checks exceeded`.
fn sum(verdict: &Verdict) -> String {
    let checks = counted(verdict.checks.len(), "check");
    match verdict.exceeded {
        0 => format!("{checks}, none exceeded"),
        exceeded => format!("{checks}, {exceeded} exceeded"),
    }
}

/// What was measured, what is allowed, by how much it is exceeded, and where.
fn sentence(check: &Check) -> String {
    let size = |bytes| Bytes(bytes).to_string();
    let allowed = size(check.allowed_bytes);
    let limit = if check.limit == allowed { String::new() } else { format!(" ({})", check.limit) };
    let excess = if check.exceeded {
        let share = match check.allowed_bytes {
            0 => String::new(),
            allowed => format!(", {} of it", shown_percent(check.excess_bytes, allowed)),
        };
        format!(": {} too much{share}", size(check.excess_bytes))
    } else {
        String::new()
    };
    let who = match (check.worker, check.measure) {
        (Some(worker), _) => format!("worker {worker}"),
        (None, Measure::Family) => "the whole family".into(),
        (None, _) => "all workers".into(),
    };
    let measured = size(check.measured_bytes);
    let step = printable(&check.step);
    format!("{measured} of {allowed} allowed{limit}{excess}; {who}, after '{step}'")
}

fn regions(check: &Check) -> Option<String> {
    let named: Vec<String> =
        check.regions.iter().map(|(name, bytes)| format!("{} {}", printable(name), Bytes(*bytes))).collect();
    (!named.is_empty()).then(|| format!("{} (all workers)", named.join(", ")))
}

/// One annotation for each check that was exceeded, as workflow commands.
pub fn annotations(verdict: &Verdict) -> String {
    let exceeded = verdict.checks.iter().filter(|check| check.exceeded);
    let annotate = |check: &Check| {
        let regions = regions(check).map(|regions| format!("\nmost of it in {regions}")).unwrap_or_default();
        let title = format!("forkprint: {} exceeded", check.measure.name());
        annotation(&title, &format!("{}{regions}", sentence(check)))
    };
    exceeded.map(annotate).collect()
}

/// An annotation that says why nothing could be checked.
pub fn annotation_of(error: &Error) -> String {
    annotation("forkprint: cannot check", &error.to_string())
}

/// A workflow command. Its runner reads a line, and takes `%`, and in titles `:` and `,`, as its own.
fn annotation(title: &str, message: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let title = escaped(title).replace(':', "%3A").replace(',', "%2C");
    format!("::error title={title}::{}\n", escaped(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runner_takes_as_its_own_is_escaped() {
        assert_eq!(
            annotation("a: b, 5%", "one,\r\ntwo: 5%\n::warning::x"),
            "::error title=a%3A b%2C 5%25::one,%0D%0Atwo: 5%25%0A::warning::x\n"
        );
    }
}
