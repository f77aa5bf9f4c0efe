//! FP011: a process that forks has one thread.

use super::{Evidence, Judgement, Rule, Target};

pub(super) static RULE: Rule = Rule {
    code: "FP011",
    title: "Start threads after the fork",
    summary: "Leaves the zygote with one thread: others do not reach the workers, may hold locks at the fork for ever, and write into pages that workers share.",
    caveats: &[
        "only a person can move the start of a thread; look for clients, metrics and schedulers made at import",
    ],
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Judgement {
    if let Some(finding) = evidence.lint(RULE.code) {
        return Judgement::by_hand(format!("{}; {}", finding.evidence, finding.fix));
    }
    let at_fork = match evidence.target {
        Target::Gunicorn { at_fork: Some(at_fork), .. } => at_fork.threads,
        _ => evidence.zygote_threads,
    };
    // A master without the application has the threads of gunicorn alone.
    let shares = !matches!(evidence.target, Target::Gunicorn { settings, .. } if !settings.preload_app);
    if at_fork > 1 && shares {
        return Judgement::by_hand(format!(
            "the zygote ran {at_fork} threads at the fork; workers inherit their memory and locks, but only one thread"
        ));
    }
    Judgement::does_not("the zygote ran one thread at the fork")
}
