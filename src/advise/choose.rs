//! Which variant to recommend, and the way down to it.

use super::experiment::Trial;
use super::plan;
use super::sample::Sample;
use super::statistics::{difference, estimate, noise, verdict};
use crate::report::advice::{Estimate, Verdict, Waterfall, WaterfallStep};

/// A variant that gives back this part less than the best one is as good, if it needs fewer remedies.
const AS_GOOD: f64 = 0.01;

/// What a trial gives back against the first one, and what to make of it.
pub fn judged(trials: &[Trial], index: usize) -> (Estimate, Verdict) {
    let (today, trial) = (&trials[0], &trials[index]);
    if index == 0 {
        return (Estimate::default(), Verdict::Baseline);
    }
    let (before, after) = today.paired(trial, |sample| sample.family);
    let saving = difference(&before, &after);
    if trial.failure.is_some() {
        return (saving, Verdict::Failed);
    }
    let rounds = today.rounds.iter().zip(&trial.rounds).filter(|(a, b)| a.is_some() && b.is_some()).count();
    (saving, verdict(saving, noise(&today.figures(|sample| sample.family)), rounds))
}

/// The trial to recommend: the one that gives back most, or one with fewer remedies where the difference
/// is not sure or does not matter. Nothing where none helps.
pub fn recommended(trials: &[Trial]) -> Option<usize> {
    let helpful = (1..trials.len()).filter_map(|index| match judged(trials, index) {
        (saving, Verdict::Helps) => Some((index, saving.mean)),
        _ => None,
    });
    let helpful: Vec<(usize, f64)> = helpful.collect();
    let &(best, most) = helpful.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let as_good = |&&(index, saving): &&(usize, f64)| {
        let (theirs, best) = trials[index].paired(&trials[best], |sample| sample.family);
        most - saving <= AS_GOOD * most || difference(&theirs, &best).low <= 0.0
    };
    let fewest = |&&(index, saving): &&(usize, f64)| (trials[index].codes.len(), saving);
    let smallest = helpful.iter().filter(as_good).min_by(|a, b| {
        let ((few, saving), (fewer, more)) = (fewest(a), fewest(b));
        few.cmp(&fewer).then(more.total_cmp(&saving))
    });
    smallest.map(|&(index, _)| index)
}

/// From what is broken today to the limit, by way of the variants measured between.
pub fn waterfall(trials: &[Trial], recommended: Option<usize>) -> Waterfall {
    let broken = |sample: &Sample| sample.broken;
    let today = estimate(&trials[0].figures(broken)).mean;
    let ghosts = estimate(&trials[0].figures(|sample| sample.ghosts)).mean;
    let mut waterfall = Waterfall { today, steps: Vec::new(), remaining: today, limit: today - ghosts };
    let Some(goal) = recommended else { return waterfall };
    let mut current = 0;
    while current != goal {
        let Some(next) = next_step(trials, current, goal) else { break };
        let added: Vec<&str> = trials[next].codes.difference(&trials[current].codes).copied().collect();
        let (before, after) = trials[current].paired(&trials[next], broken);
        let saving = difference(&before, &after);
        waterfall.remaining -= saving.mean;
        waterfall.steps.push(WaterfallStep { label: added.join(" + "), saving });
        current = next;
    }
    waterfall
}

/// The variant that comes after `current` on the way to `goal`: with the fewest remedies more, and among
/// these the one that breaks least.
fn next_step(trials: &[Trial], current: usize, goal: usize) -> Option<usize> {
    let all_in = |index: usize| plan::all_in(&trials[index].codes);
    let (from, to) = (all_in(current), all_in(goal));
    let between = |&index: &usize| {
        let codes = all_in(index);
        let step = codes.len() > from.len() && codes.is_superset(&from) && codes.is_subset(&to);
        step && trials[index].failure.is_none()
    };
    let broken = |index: usize| estimate(&trials[index].figures(|sample| sample.broken)).mean;
    (1..trials.len())
        .filter(between)
        .min_by(|&a, &b| all_in(a).len().cmp(&all_in(b).len()).then(broken(a).total_cmp(&broken(b))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::plan::Codes;

    fn trial(codes: &[&'static str], families: &[f64]) -> Trial {
        let sample = |&family: &f64| {
            Some(Sample {
                family,
                broken: family - 100.0,
                ghosts: (family - 100.0) / 2.0,
                ..Sample::default()
            })
        };
        Trial {
            codes: codes.iter().copied().collect::<Codes>(),
            rounds: families.iter().map(sample).collect(),
            ..Trial::default()
        }
    }

    fn labels(trials: &[Trial], goal: usize) -> Vec<String> {
        waterfall(trials, Some(goal)).steps.into_iter().map(|step| step.label).collect()
    }

    #[test]
    fn the_largest_saving_is_recommended_and_a_smaller_set_where_it_is_as_good() {
        let mut trials = vec![
            trial(&[], &[1000.0, 1001.0, 999.0]),
            trial(&["FP002"], &[999.0, 1001.0, 1000.0]),
            trial(&["FP006"], &[400.0, 402.0, 399.0]),
            trial(&["FP002", "FP006"], &[300.0, 301.0, 299.0]),
            trial(&["FP002", "FP006", "FP008"], &[299.0, 302.0, 298.0]),
        ];
        assert_eq!(judged(&trials, 1).1, Verdict::DoesNotHelp);
        assert_eq!(recommended(&trials), Some(3));
        assert_eq!(labels(&trials, 3), ["FP006", "FP002"]);
        let waterfall = waterfall(&trials, Some(3));
        assert_eq!((waterfall.today, waterfall.limit), (900.0, 450.0));
        let down: f64 = waterfall.steps.iter().map(|step| step.saving.mean).sum();
        assert!((waterfall.today - down - 200.0).abs() < 1e-9 && (waterfall.remaining - 200.0).abs() < 1e-9);
        trials[3].failure = Some("it broke".into());
        assert_eq!(recommended(&trials), Some(4));
        assert_eq!(labels(&trials, 4), ["FP006", "FP002 + FP008"]);
    }

    #[test]
    fn the_way_to_a_remedy_leads_over_those_that_are_part_of_it() {
        let trials = [
            trial(&[], &[1000.0; 3]),
            trial(&["FP002"], &[900.0; 3]),
            trial(&["FP003"], &[300.0; 3]),
            trial(&["FP006"], &[950.0; 3]),
        ];
        assert_eq!(
            (recommended(&trials), labels(&trials, 2)),
            (Some(2), vec!["FP002".into(), "FP003".into()])
        );
    }

    #[test]
    fn nothing_is_recommended_where_nothing_helps() {
        let trials = [trial(&[], &[1000.0, 1010.0, 990.0]), trial(&["FP002"], &[995.0, 1003.0, 985.0])];
        assert_eq!(recommended(&trials), None);
        let waterfall = waterfall(&trials, None);
        assert!(waterfall.steps.is_empty());
        assert!((waterfall.remaining - waterfall.today).abs() < 1e-9);
        let harmful = [trial(&[], &[1000.0; 3]), trial(&["FP001"], &[1200.0; 3])];
        assert_eq!(judged(&harmful, 1).1, Verdict::Harms);
    }
}
