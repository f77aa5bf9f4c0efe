use super::*;
use crate::family::recording::{About, WorkerInfo, ZygoteSummary};
use crate::units::PAGE_SIZE;

fn worker(worker: u32, broken: u64, ghost: u64) -> WorkerStep {
    WorkerStep {
        worker,
        inherited: 1000,
        broken,
        broken_by_worker: broken,
        ghost,
        fresh: 10,
        ..WorkerStep::default()
    }
}

/// Two workers, two steps; the second worker is the worst after the first step.
fn example() -> Recording {
    let step = |name: &str, first, second| Step {
        name: name.into(),
        workers: vec![worker(0, first, first / 2), worker(1, second, second / 4)],
        causes: [("unexplained".to_owned(), 3)].into(),
        ledger: crate::family::Ledger { distinct_frames: 1000 + first + second, shares: Vec::new() },
        ..Step::default()
    };
    Recording {
        about: About { complete: true, witness: Witness::Sigtrap, ..About::default() },
        zygote: ZygoteSummary { private_pages: 1000, ..ZygoteSummary::default() },
        workers: (0..2).map(|worker| WorkerInfo { worker, pid: worker, fate: Fate::Finished }).collect(),
        steps: vec![step("a", 100, 200), step("b", 150, 180)],
        ..Recording::default()
    }
}

fn held(measure: Measure, limit: &str, only: Option<&str>) -> Check {
    against_limits(&example(), &[(measure, limit.parse().unwrap())], only).unwrap().remove(0)
}

#[test]
fn the_worst_worker_after_the_worst_step_is_judged() {
    let check = held(Measure::Broken, "4096", None);
    assert_eq!((check.worker, check.step.as_str(), check.measured_bytes), (Some(1), "a", 200 * PAGE_SIZE));
    assert_eq!((check.exceeded, check.excess_bytes), (true, 199 * PAGE_SIZE));
    let check = held(Measure::Broken, "4096", Some("b"));
    assert_eq!((check.worker, check.measured_bytes), (Some(1), 180 * PAGE_SIZE));
    let check = held(Measure::Ghost, "0", None);
    assert_eq!((check.worker, check.step.as_str(), check.measured_bytes), (Some(0), "b", 75 * PAGE_SIZE));
    assert_eq!(held(Measure::Family, "0", None).measured_bytes, 1330 * PAGE_SIZE);
}

#[test]
fn exactly_the_limit_is_allowed() {
    assert!(!held(Measure::Broken, "800KiB", None).exceeded);
    assert!(held(Measure::Broken, "819199", None).exceeded);
    assert!(!held(Measure::Broken, "20%", None).exceeded);
    assert!(held(Measure::Broken, "19.9%", None).exceeded);
    assert!(!held(Measure::Unexplained, "1%", None).exceeded);
    assert!(held(Measure::Unexplained, "0.9%", None).exceeded);
    assert!(!held(Measure::Family, "133%", None).exceeded);
}

#[test]
fn limits_that_are_none_are_refused() {
    for text in ["", "5 parsecs", "-1%", "NaN%", "%", "-3MiB", "inf%"] {
        assert!(text.parse::<Limit>().is_err(), "{text}");
    }
    assert!("10".parse::<Percent>().is_err());
}

#[test]
fn ghosts_that_may_be_more_than_were_counted_are_not_let_pass() {
    let mut recording = example();
    recording.steps[1].workers[0].uncompared = 10;
    let held =
        |limit: &str| against_limits(&recording, &[(Measure::Ghost, limit.parse().unwrap())], Some("b"));
    assert!(held("320KiB").unwrap_err().to_string().contains("10 broken pages"));
    assert!(held("75KiB").unwrap()[0].exceeded);
    assert!(!held("340KiB").unwrap()[0].exceeded);
}

#[test]
fn without_a_witness_nothing_can_be_said_of_causes() {
    let mut recording = example();
    recording.about.witness = Witness::None;
    let limits = [(Measure::Unexplained, "100%".parse().unwrap())];
    assert!(against_limits(&recording, &limits, None).is_err());
}

#[test]
fn a_baseline_allows_its_tolerance_and_a_little_noise() {
    let tolerance = Tolerance("10%".parse().unwrap());
    let mut now = example();
    let exceeded = |now: &Recording| {
        let (checks, notes) = against_baseline(now, &example(), tolerance, None).unwrap();
        assert_eq!((checks.len(), notes.len()), (8, 0));
        checks
            .into_iter()
            .filter(|check| check.exceeded)
            .map(|check| (check.measure, check.step))
            .collect::<Vec<_>>()
    };
    now.steps[0].workers[1].broken = 232;
    assert_eq!(exceeded(&now), []);
    now.steps[0].workers[1].broken = 233;
    assert_eq!(exceeded(&now), [(Measure::Broken, "a".into())]);
    now.steps[1].ledger.distinct_frames = 1330 + 134;
    assert_eq!(exceeded(&now), [(Measure::Broken, "a".into()), (Measure::Family, "b".into())]);
}

#[test]
fn a_step_that_only_one_of_both_has_is_not_passed_over() {
    let tolerance = Tolerance("10%".parse().unwrap());
    let mut renamed = example();
    renamed.steps[1].name = "c".into();
    for (now, before) in [(&renamed, &example()), (&example(), &renamed)] {
        assert!(against_baseline(now, before, tolerance, None).unwrap_err().to_string().contains("--step"));
        assert_eq!(against_baseline(now, before, tolerance, Some("a")).unwrap().0.len(), 4);
    }
    renamed.steps.pop();
    assert!(against_baseline(&renamed, &example(), tolerance, None).is_err());
}

#[test]
fn a_family_of_another_size_is_not_compared_as_a_whole() {
    let mut now = example();
    now.workers.pop();
    let (checks, notes) = against_baseline(&now, &example(), Tolerance("0%".parse().unwrap()), None).unwrap();
    assert!(checks.iter().all(|check| check.measure != Measure::Family) && notes.len() == 1);
}

#[test]
fn a_recording_that_did_not_go_to_its_end_is_told() {
    let mut recording = example();
    assert_eq!(incomplete(&recording), None);
    recording.workers[1].fate = Fate::Exited { code: 0, step: "a".into() };
    assert_eq!(incomplete(&recording), None);
    recording.workers[1].fate = Fate::Exited { code: 3, step: "a".into() };
    assert!(incomplete(&recording).unwrap().contains("exit status 3"));
    recording.about.complete = false;
    assert!(incomplete(&recording).unwrap().contains("ended early"));
}
