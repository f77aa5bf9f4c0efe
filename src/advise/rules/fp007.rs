//! FP007: small pages for what is forked.

use super::{Change, Edit, Evidence, Judgement, Rule};
use crate::units::Bytes;
use std::fs;

pub(super) static RULE: Rule = Rule {
    code: "FP007",
    title: "Do without transparent huge pages",
    summary: "Turns transparent huge pages off for the family, so that a worker's new memory comes in 4 KiB and not in 2 MiB, and the kernel does not gather copied pages into huge ones.",
    caveats: &[
        "huge pages save page-table walks: programs that run over large arrays may become slower",
        "a fork copies the page tables of 4 KiB pages, 512 times the entries",
    ],
    judge,
};

/// One huge page on x86-64.
const HUGE: u64 = 2 << 20;
const MODE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// `PR_SET_THP_DISABLE` of `linux/prctl.h`; children inherit it.
const OFF: [&str; 2] =
    ["import ctypes", "ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: children inherit it"];

fn judge(evidence: &Evidence<'_>) -> Judgement {
    let mode = fs::read_to_string(MODE).ok().and_then(|text| chosen(&text).map(str::to_owned));
    judge_in(mode.as_deref(), evidence)
}

fn judge_in(mode: Option<&str>, evidence: &Evidence<'_>) -> Judgement {
    let Some(mode) = mode else { return Judgement::does_not(format!("this kernel has no {MODE}")) };
    let steps = evidence.recording.steps.iter().filter(|step| !step.workers.is_empty());
    let Some((huge, workers)) =
        steps.map(|step| (step.cross_check.workers_anon_huge, step.workers.len() as u64)).max()
    else {
        return Judgement::does_not("no worker lived to be measured");
    };
    let seen = format!("workers held {} in huge pages at the most; {MODE} says '{mode}'", Bytes(huge));
    if huge < HUGE * workers {
        return Judgement::does_not(seen);
    }
    // In a configuration this comes before the application is loaded, in a workload before the fork.
    let lines = OFF.map(str::to_owned).into();
    Judgement::applies(seen, Change::edit(Edit::AtEnd { lines }))
}

/// The choice in brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(mode, _)| mode)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, applies};
    use super::*;

    #[test]
    fn huge_pages_must_have_been_seen() {
        assert_eq!(chosen("always [madvise] never\n"), Some("madvise"));
        let mut sample = Sample::python("x = 1\n");
        let judged = |sample: &Sample| sample.with(|evidence| judge_in(Some("always"), evidence));
        assert!(!applies(&judged(&sample)));
        let last = sample.recording.steps.last_mut().unwrap();
        last.cross_check.workers_anon_huge = 3 * HUGE * last.workers.len() as u64;
        assert!(applies(&judged(&sample)));
        assert!(!sample.with(|evidence| applies(&judge_in(None, evidence))), "a kernel without them");
    }
}
