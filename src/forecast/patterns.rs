//! What is known of each page in two workers at once.
//!
//! A page has one rate, in whichever worker it stands. So what broke in one worker and not in the other
//! tells how many pages are slow, and how many are never written, as catching animals twice tells how
//! many there are (Petersen 1896): from one worker alone the two cannot be told apart.

use super::lives::{Life, Lives, number};
use super::race;
use std::collections::BTreeMap;

/// The fork is over at this part of the first age: what was broken by then may be fast, and need not
/// have been broken by the fork itself.
const FORK: f64 = 0.01;

/// When a page broke in one worker: not before, not after; infinite where nobody saw it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// Index of the snapshot that first saw it broken.
    pub broke: Option<usize>,
    since: f64,
    until: f64,
}

impl Known {
    /// The chance of this for a page of a rate.
    fn chance(&self, rate: f64) -> f64 {
        let broken = |age: f64| match age {
            f64::NEG_INFINITY => 0.0,
            f64::INFINITY => 1.0,
            age => race::at_age(rate, age),
        };
        (broken(self.until) - broken(self.since)).max(0.0)
    }
}

/// Pages of which the same is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Index of the pair of workers that showed it.
    pub pair: usize,
    /// What is known in each of them: two of the same recording, or one.
    pub known: Vec<Known>,
    /// How many pages.
    pub pages: f64,
}

impl Pattern {
    /// The chance of this for a page of a rate.
    pub fn chance(&self, rate: f64) -> f64 {
        self.known.iter().map(|known| known.chance(rate)).product()
    }
}

/// The patterns of the pages of some classes, worker by worker in pairs.
pub fn patterns(lives: &Lives, classes: &[usize]) -> Vec<Pattern> {
    let mut wanted = vec![false; lives.classes.len()];
    for &class in classes {
        wanted[class] = true;
    }
    let (mut found, mut index) = (Vec::new(), 0);
    for recording in 0..lives.class_of_page.len() {
        let of_recording =
            (0..lives.workers.len()).filter(|&worker| lives.workers[worker].recording == recording);
        let workers: Vec<usize> = of_recording.collect();
        let pages = &lives.class_of_page[recording];
        for pair in workers.chunks(2) {
            let mut counts: BTreeMap<(u16, u16), u64> = BTreeMap::new();
            for page in (0..pages.len()).filter(|&page| wanted[pages[page] as usize]) {
                let fate =
                    |index: usize| pair.get(index).map_or(0, |&worker| lives.workers[worker].fates[page]);
                *counts.entry((fate(0), fate(1))).or_default() += 1;
            }
            for ((first, second), count) in counts {
                let fates = [first, second];
                let known = pair.iter().zip(fates).map(|(&worker, fate)| known(&lives.workers[worker], fate));
                found.push(Pattern { pair: index, known: known.collect(), pages: number(count) });
            }
            index += 1;
        }
    }
    found
}

/// What a fate says of the age at which a page broke.
fn known(life: &Life, fate: u16) -> Known {
    let age = |snapshot: usize| {
        let first = life.ages.iter().copied().find(|&age| age > 0.0).unwrap_or(1.0);
        life.ages.get(snapshot).copied().unwrap_or(0.0).max(FORK * first)
    };
    let snapshot = usize::from(fate / 2);
    match fate {
        Life::STAYED => Known { broke: None, since: life.last_age(), until: f64::INFINITY },
        fate if fate % 2 == 1 => Known { broke: None, since: age(snapshot), until: f64::INFINITY },
        _ => {
            let since = if snapshot == 0 { f64::NEG_INFINITY } else { age(snapshot - 1) };
            Known { broke: Some(snapshot), since, until: age(snapshot) }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The patterns that pages of a mixture show in `workers` workers looked at at these ages, exactly.
    pub fn shown_by(parts: &[(f64, f64)], ages: &[f64], workers: usize, pages: f64) -> Vec<Pattern> {
        let life = Life::of_ages(ages);
        let fates: Vec<u16> = (0..ages.len())
            .map(|snapshot| 2 * u16::try_from(snapshot).unwrap())
            .chain([Life::STAYED])
            .collect();
        let mut patterns: Vec<Vec<Known>> = vec![Vec::new()];
        for _ in 0..workers {
            patterns = patterns
                .iter()
                .flat_map(|earlier| fates.iter().map(|&fate| [&earlier[..], &[known(&life, fate)]].concat()))
                .collect();
        }
        let count = |known: &[Known]| {
            parts
                .iter()
                .map(|&(weight, rate)| {
                    pages * weight * known.iter().map(|one| one.chance(rate)).product::<f64>()
                })
                .sum()
        };
        patterns
            .into_iter()
            .map(|known| Pattern { pair: 0, pages: count(&known), known })
            .filter(|pattern| pattern.pages > 0.0)
            .collect()
    }

    #[test]
    fn the_chances_of_all_fates_add_up_to_one() {
        for rate in [f64::INFINITY, 3.0, 0.01, 0.0] {
            let all: f64 =
                shown_by(&[(1.0, rate)], &[0.0, 1.0, 5.0], 2, 1.0).iter().map(|pattern| pattern.pages).sum();
            assert!((all - 1.0).abs() < 1e-9, "{rate}: {all}");
        }
    }
}
