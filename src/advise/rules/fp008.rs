//! FP008: replace workers before they have un-shared too much, and not before they have settled.

use super::{Change, Edit, Evidence, Judgement, Rule, Target};
use crate::family::recording::Step;
use crate::units::Bytes;

pub(super) static RULE: Rule = Rule {
    code: "FP008",
    title: "Replace workers at the right age",
    summary: "Sets max_requests by the measured growth of a worker, so that what it un-shared is given back before it costs more than a new worker does.",
    caveats: &[
        "a new worker copies its hot pages again and serves its first requests slowly",
        "without jitter all workers are replaced at once (max_requests_jitter)",
        "a leak is hidden, not fixed",
    ],
    judge,
};

/// A worker may grow by this part of what it needs anyway, on average over its life: one tenth.
const GROWTH: u64 = 10;
/// Less growth than this in a whole measurement is noise.
const LEAST_GROWTH: u64 = 32;
/// Gunicorn replaces no worker more often for our sake.
const YOUNGEST: u64 = 500;

/// What the private pages of a worker do with the requests it serves.
struct Erosion {
    /// Requests of one worker at the last step.
    requests: u64,
    /// Private pages of one worker then.
    pages: u64,
    /// Pages that were added from the step before to the last one, and requests in between.
    grown: (u64, u64),
}

fn judge(evidence: &Evidence<'_>) -> Judgement {
    let Target::Gunicorn { settings, .. } = evidence.target else {
        return Judgement::does_not("no server replaces these workers");
    };
    let Some(erosion) = Erosion::of(&evidence.recording.steps) else {
        return Judgement::does_not("too few milestones with requests: growth needs two");
    };
    let ((grown, between), old) = (erosion.grown, settings.max_requests);
    let seen = format!(
        "a worker held {} of its own after {} requests, and grew by {} in the last {between} of them; max_requests = {old}",
        Bytes::of_pages(erosion.pages),
        erosion.requests,
        Bytes::of_pages(grown)
    );
    let Some(finding) = evidence.lint(RULE.code) else {
        return Judgement::does_not(if settings.preload_app {
            seen
        } else {
            "preload_app = False: workers share nothing that age takes away (FP001)".into()
        });
    };
    let best = if grown < LEAST_GROWTH { None } else { Some(erosion.best_age()) };
    let age = match (old, best) {
        (0, None) => return Judgement::does_not(format!("{seen}: they have settled, and age costs nothing")),
        (0, Some(age)) => age,
        // Too young by what the configuration says.
        (_, best) => best.unwrap_or(10 * YOUNGEST).max(old + 1),
    };
    let set = |name, value: u64| Edit::Set { name, value: value.to_string() };
    Judgement::applies(
        format!("{}; {seen}", finding.evidence),
        Change {
            edits: vec![set("max_requests", age), set("max_requests_jitter", age / 10)],
            environment: Vec::new(),
        },
    )
}

impl Erosion {
    fn of(steps: &[Step]) -> Option<Self> {
        let served: Vec<(u64, u64)> = steps
            .iter()
            .filter_map(|step| {
                let workers = step.workers.len() as u64;
                let private: u64 =
                    step.workers.iter().map(|worker| worker.broken_by_worker + worker.fresh).sum();
                Some((step.requests?.checked_div(workers)?, private.checked_div(workers)?))
            })
            .collect();
        let [.., (before, earlier), (requests, pages)] = served[..] else { return None };
        let between = requests.checked_sub(before).filter(|between| *between > 0)?;
        Some(Self { requests, pages, grown: (pages.saturating_sub(earlier), between) })
    }

    /// The age at which a worker has grown, on average over its life, by [`GROWTH`] of its pages.
    ///
    /// It grows by `g` a request, so a life of `n` costs `g n / 2` on average.
    fn best_age(&self) -> u64 {
        let (grown, between) = self.grown;
        let age = 2 * self.pages * between / (GROWTH * grown.max(1));
        rounded(age.max(YOUNGEST))
    }
}

/// Two digits are all that a measurement of growth is worth.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    number / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::recording::WorkerStep;

    fn step(requests: u64, pages: u64) -> Step {
        let worker = WorkerStep { broken_by_worker: pages, ..WorkerStep::default() };
        Step { requests: Some(requests), workers: vec![worker.clone(), worker], ..Step::default() }
    }

    #[test]
    fn the_age_follows_from_the_growth() {
        let erosion = Erosion::of(&[step(0, 0), step(200, 900), step(2_200, 1_000)]).unwrap();
        assert_eq!((erosion.requests, erosion.pages, erosion.grown), (1_100, 1_000, (100, 1_000)));
        // A tenth of a page a request: 2,000 requests cost 100 pages on average, a tenth of 1,000.
        assert_eq!(erosion.best_age(), 2_000);
        assert!(Erosion::of(&[step(200, 1)]).is_none());
        assert_eq!((rounded(12_345), rounded(7), rounded(99)), (12_000, 7, 99));
    }
}
