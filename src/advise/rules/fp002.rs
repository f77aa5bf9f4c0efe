//! FP002: take what was built before the fork out of the collector's sight.

use super::measured::Measured;
use super::{Change, Evidence, Judgement, Rule, Target, source};
use crate::family::cause::Cause;

pub(super) static RULE: Rule = Rule {
    code: "FP002",
    title: "Freeze the heap before the fork",
    summary: "gc.freeze() hides inherited objects from the garbage collector, which stops its writes into their headers.",
    caveats: &[
        "reference counts are written all the same: where they break the pages first, freezing alone gives nothing back",
        "garbage in cycles that exists at the freeze is never freed: hence the collection before it",
    ],
    judge,
};

/// The collection first: what is frozen is never freed, and it empties the free lists.
const FREEZE: [&str; 3] = ["import gc", "gc.collect()", "gc.freeze()"];

fn judge(evidence: &Evidence<'_>) -> Judgement {
    if evidence.cpython().is_none() {
        return Judgement::does_not("gc.freeze() is CPython's");
    }
    let measured = Measured::witnessed(evidence).and_then(|measured| measured.judge(Cause::GcHeader));
    let change = || Change::before_fork(evidence.target, &FREEZE);
    match evidence.target {
        Target::Gunicorn { at_fork, settings, .. } => match evidence.lint(RULE.code) {
            Some(finding) => {
                let (Ok(seen) | Err(seen)) = measured;
                Judgement::applies(format!("{}; {seen}", finding.evidence), change())
            }
            None if at_fork.is_some_and(|at_fork| at_fork.frozen) => {
                Judgement::does_not("gc.freeze() was called before the first fork already")
            }
            None if !settings.preload_app => {
                Judgement::does_not("preload_app = False: there is little to freeze (FP001)")
            }
            // The collector was off at the fork: what it wrote, a worker that turned it on wrote.
            None => measured.map_or_else(Judgement::DoesNot, |seen| Judgement::applies(seen, change())),
        },
        Target::Python { text, .. } => match source::call(text, "gc.freeze") {
            Some(line) => Judgement::does_not(format!("line {line} calls gc.freeze() already")),
            None => measured.map_or_else(Judgement::DoesNot, |seen| Judgement::applies(seen, change())),
        },
    }
}
