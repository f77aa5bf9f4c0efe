//! FP013: a collector in workers that runs, but seldom over everything.

use super::measured::Measured;
use super::{Change, Edit, Evidence, Judgement, Rule, Target, source};
use crate::family::cause::Cause;
use crate::units::Bytes;
use std::path::Path;

pub(super) static RULE: Rule = Rule {
    code: "FP013",
    title: "Let workers collect the right generations",
    summary: "Makes full collections in workers rare, which write into every inherited header, or turns a collector on again that was left off.",
    caveats: &[
        "cycles that outlive two young collections are freed later: watch fresh memory",
        "collections that the program asks for by gc.collect() do not heed thresholds",
        "FP002 stops the same writes without changing when workers collect: prefer it where both help",
    ],
    judge,
};

/// Young generations as they are; a full collection after so many of the middle one, instead of ten.
const SELDOM: [&str; 2] = ["import gc", "gc.set_threshold(*gc.get_threshold()[:2], 10_000)"];
/// Fresh memory of a worker from which a missing collector matters.
const LEAST_FRESH: Bytes = Bytes(1 << 20);

fn judge(evidence: &Evidence<'_>) -> Judgement {
    if evidence.cpython().is_none() {
        return Judgement::does_not("these are thresholds of CPython's collector");
    }
    if let Some(finding) = evidence.lint(RULE.code) {
        return Judgement::applies(
            finding.evidence,
            in_workers(evidence.target, &["import gc", "gc.enable()"]),
        );
    }
    if let Target::Python { text, .. } = evidence.target
        && let Some(judgement) = left_off(evidence, text)
    {
        return judgement;
    }
    let measured = match Measured::witnessed(evidence) {
        Ok(measured) => measured,
        Err(why) => return Judgement::DoesNot(why),
    };
    let seen = match measured.judge(Cause::GcHeader) {
        Ok(seen) => seen,
        Err(why) => return Judgement::DoesNot(why),
    };
    if let Some(line) = asked_for(evidence, &measured) {
        return Judgement::does_not(format!(
            "{seen}; but line {line} asks for collections, which heed no thresholds (FP002)"
        ));
    }
    Judgement::applies(seen, in_workers(evidence.target, &SELDOM))
}

/// The line of a workload that broke most headers, where it asks for a collection.
fn asked_for(evidence: &Evidence<'_>, measured: &Measured<'_>) -> Option<u32> {
    let Target::Python { path, text } = evidence.target else { return None };
    let lines = measured.of_cause(Cause::GcHeader).by_line();
    let place = lines.first()?.place.as_ref()?;
    let same_file = Path::new(&place.file).file_name() == path.file_name();
    let code = text.lines().nth((place.line as usize).checked_sub(1)?)?;
    (same_file && source::call(code, "gc.collect").is_some()).then_some(place.line)
}

/// A collector that a workload turns off and never on, while its workers grow.
fn left_off(evidence: &Evidence<'_>, text: &str) -> Option<Judgement> {
    let line = source::call(text, "gc.disable")?;
    if source::call(text, "gc.enable").is_some() {
        return None;
    }
    let (first, last) = (evidence.recording.steps.first()?, evidence.recording.steps.last()?);
    let grown = Measured::fresh_after(last).saturating_sub(Measured::fresh_after(first));
    let grown = Bytes::of_pages(grown);
    (grown >= LEAST_FRESH).then(|| {
        Judgement::applies(
            format!("line {line} turns the collector off and nothing turns it on; every worker grew by {grown}, cycles among it are never freed"),
            in_workers(evidence.target, &["import gc", "gc.enable()"]),
        )
    })
}

/// Statements for the workers; a workload's inherit what the zygote set.
fn in_workers(target: Target<'_>, lines: &[&str]) -> Change {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Change::edit(match target {
        Target::Gunicorn { .. } => Edit::Hook { signature: "post_fork(server, worker)", lines },
        Target::Python { .. } => Edit::AtEnd { lines },
    })
}
