//! FP001: load the application once, in the process that forks.

use super::measured::Measured;
use super::{Change, Edit, Evidence, Judgement, Rule, Target};
use crate::units::Bytes;

/// A worker that makes less for itself in its first step builds no data worth sharing.
const LEAST: Bytes = Bytes(4 << 20);

pub(super) static RULE: Rule = Rule {
    code: "FP001",
    title: "Preload the application",
    summary: "Builds code and data once before the fork, so that workers share them instead of each holding a copy.",
    caveats: &[
        "connections, threads and files that the application opens at import exist once, in the master: open them after the fork",
        "a reload (HUP) keeps the old code; start a new master to deploy (USR2)",
        "random generators that are seeded at import give every worker the same numbers",
    ],
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Judgement {
    match evidence.target {
        Target::Gunicorn { settings, .. } => match evidence.lint(RULE.code) {
            Some(finding) => {
                let change = Change::edit(Edit::Set { name: "preload_app", value: "True".into() });
                Judgement::applies(finding.evidence + &held(evidence), change)
            }
            None if settings.preload_app => Judgement::does_not("preload_app = True already"),
            None if settings.reload => {
                Judgement::does_not("reload = True: preloading and reloading exclude each other (FP012)")
            }
            None => Judgement::does_not("a single worker has nobody to share with"),
        },
        Target::Python { .. } => data_built_in_steps(evidence),
    }
}

/// What each worker holds for itself at the end.
fn held(evidence: &Evidence<'_>) -> String {
    evidence.recording.steps.last().map_or_else(String::new, |step| {
        format!("; each holds at least {} of its own", Bytes::of_pages(Measured::fresh_after(step)))
    })
}

fn data_built_in_steps(evidence: &Evidence<'_>) -> Judgement {
    let steps = &evidence.recording.steps;
    if steps.last().is_none_or(|step| step.workers.len() < 2) {
        return Judgement::does_not("fewer than two workers lived to be compared");
    }
    let grown = |pair: &[crate::family::recording::Step]| {
        Measured::fresh_after(&pair[1]).saturating_sub(Measured::fresh_after(&pair[0]))
    };
    // What the first step builds and all workers keep; later growth is their work.
    let Some(first) = steps.windows(2).next() else { return Judgement::does_not("no step was measured") };
    let built = Bytes::of_pages(grown(first));
    let name = &first[1].name;
    if built < LEAST {
        return Judgement::does_not(format!(
            "step '{name}' makes only {built} in each worker: what they need was built before the fork"
        ));
    }
    Judgement::by_hand(format!(
        "step '{name}' makes at least {built} in every worker: what is the same in all of them belongs at module level, where it is built once before the fork"
    ))
}
