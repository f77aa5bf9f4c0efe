//! FP009: leave without tearing the interpreter down.

use super::{Change, Edit, Evidence, Judgement, Rule, Target, source};
use crate::units::Bytes;

pub(super) static RULE: Rule = Rule {
    code: "FP009",
    title: "Leave without tearing down",
    summary: "Ends a worker by os._exit() when its work is done, so that the interpreter does not free, and thereby copy, every inherited object on its way out.",
    caveats: &[
        "atexit functions, finalizers and threads that are not joined are cut off: flush logs and metrics before",
        "the saving is the peak while workers stop; a family that only runs holds no less",
        "coverage and profilers that write at exit must be told to write earlier",
    ],
    judge,
};

/// Less than this to tear down is no storm.
const LEAST: u64 = 1024;

fn judge(evidence: &Evidence<'_>) -> Judgement {
    match evidence.target {
        Target::Gunicorn { settings, text, .. } => {
            let inherited = evidence.recording.zygote.private_pages;
            if source::call(text, "os._exit").is_some() {
                return Judgement::does_not("the configuration calls os._exit() already");
            }
            if settings.max_requests == 0 {
                return Judgement::does_not(
                    "max_requests = 0: workers leave only when the server stops or reloads",
                );
            }
            if inherited < LEAST {
                return Judgement::does_not(format!("a worker inherits only {}", Bytes::of_pages(inherited)));
            }
            let lines =
                ["import os", "import sys", "sys.stdout.flush()", "sys.stderr.flush()", "os._exit(0)"];
            let lines = lines.map(str::to_owned).into();
            Judgement::applies(
                format!(
                    "max_requests = {}: every worker that is replaced tears down the {} it inherited while the others serve (from the configuration; a measurement ends before workers do)",
                    settings.max_requests,
                    Bytes::of_pages(inherited)
                ),
                Change::edit(Edit::Hook { signature: "worker_exit(server, worker)", lines }),
            )
        }
        Target::Python { text, .. } => at_the_end_of_a_workload(evidence, text),
    }
}

fn at_the_end_of_a_workload(evidence: &Evidence<'_>, text: &str) -> Judgement {
    let Some(end) = source::steps(text).into_iter().find(|step| step.finalize) else {
        return Judgement::does_not("no step shuts the interpreter down");
    };
    let steps = &evidence.recording.steps;
    let pair = steps.windows(2).find(|pair| pair[1].name == end.name && !pair[1].workers.is_empty());
    let Some([before, after]) = pair else {
        return Judgement::does_not(format!("step '{}' was not measured", end.name));
    };
    let taken = |count: fn(&crate::family::recording::WorkerStep) -> u64| {
        let sum = |step: &crate::family::recording::Step| step.workers.iter().map(count).sum::<u64>();
        sum(after).saturating_sub(sum(before)) / after.workers.len() as u64
    };
    let (broken, gone) = (taken(|worker| worker.broken), taken(|worker| worker.gone));
    let seen = format!(
        "step '{}' broke {} and gave up {} of inherited memory in each worker",
        end.name,
        Bytes::of_pages(broken),
        Bytes::of_pages(gone)
    );
    if broken + gone < LEAST {
        return Judgement::does_not(seen);
    }
    let lines = vec!["@forkprint.step".to_owned()];
    Judgement::applies(seen, Change::edit(Edit::Lines { first: end.line, last: end.line, lines }))
}
