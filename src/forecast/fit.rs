//! A mixture of rates for the first writes of pages, fitted to what was observed between snapshots.
//!
//! Every page has its own rate; only their distribution matters. It is written on a grid of rates, beside
//! pages that break at once and pages that never do, and found by expectation and maximisation
//! (Dempster, Laird and Rubin 1977) on the likelihood of the counts between snapshots. Each round makes
//! the likelihood larger and keeps the weights positive and their sum at one, so nothing can diverge.

use super::Rate;
use super::patterns::Pattern;
use super::race;

/// Rates on the grid.
const GRID: u32 = 28;
/// The weight of each where nothing is known: those on the grid, at once and never.
const EVEN: f64 = 1.0 / (GRID + 2) as f64;
/// The slowest rate on the grid, in first writes per age observed. Between half of this and twice as much
/// no likelihood can tell; a forecast for a few times the age observed differs by a few percent.
const SLOWEST: f64 = 0.25;
/// The fastest: by the first snapshot all but e^-8 of the pages are broken.
const FASTEST: f64 = 8.0;
/// Rounds from a start that knows nothing. The likelihood is flat along mixtures that nobody can tell
/// apart; ending before the last digit keeps the smoother one of them.
const ROUNDS: u32 = 1500;
/// Rounds from a mixture that fits nearly the same counts.
const FEW_ROUNDS: u32 = 150;
/// Part of such a start that is spread evenly, so that every rate can come back.
const EVENLY: f64 = 0.1;

/// The distribution of rates over the pages of one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Pages of a worker.
    pub pages: f64,
    /// Part of the pages, from 0 to 1, and their rate: infinite for those broken at once.
    pub parts: Vec<(f64, f64)>,
}

impl Mixture {
    /// Fits the mixture to patterns of workers first looked at at `ages.0` and last at `ages.1`. `pages` are
    /// those of one worker.
    pub fn fit(patterns: &[Pattern], ages: (f64, f64), pages: f64) -> Self {
        let even = grid(ages.0, ages.1).into_iter().map(|rate| (EVEN, rate)).collect();
        Self { pages, parts: even }.improved(patterns, ROUNDS)
    }

    /// Fits a mixture of the same rates to a sample that differs a little.
    pub fn fit_again(&self, patterns: &[Pattern]) -> Self {
        let start = |&(weight, rate): &(f64, f64)| ((1.0 - EVENLY) * weight + EVENLY * EVEN, rate);
        let parts = self.parts.iter().map(start).collect();
        Self { pages: self.pages, parts }.improved(patterns, FEW_ROUNDS)
    }

    fn improved(self, patterns: &[Pattern], rounds: u32) -> Self {
        let row = |&(_, rate): &(f64, f64)| patterns.iter().map(|pattern| pattern.chance(rate)).collect();
        let chances: Vec<Vec<f64>> = self.parts.iter().map(row).collect();
        let mut weights: Vec<f64> = self.parts.iter().map(|&(weight, _)| weight).collect();
        for _ in 0..rounds {
            weights = improve(patterns, &chances, &weights);
        }
        let parts = weights.into_iter().zip(self.parts).map(|(weight, (_, rate))| (weight, rate)).collect();
        Self { pages: self.pages, parts }
    }

    /// Pages broken in a worker, given the chance for each rate.
    pub fn broken(&self, chance: impl Fn(f64) -> f64) -> f64 {
        self.pages * race::expected_pages(&self.parts, chance)
    }

    /// Pages broken at an age.
    pub fn broken_at(&self, age: f64) -> f64 {
        self.broken(|rate| race::at_age(rate, age))
    }

    /// Pages broken in the end. Rates too slow to have been seen are told from never only by guessing, so
    /// this is rather too much than too little.
    pub fn plateau(&self) -> f64 {
        self.broken(|rate| if rate > 0.0 { 1.0 } else { 0.0 })
    }

    /// The age at which half of the plateau is broken; nothing where it is at the fork.
    pub fn half_life(&self, last_age: f64) -> Option<f64> {
        let half = self.plateau() / 2.0;
        if self.broken_at(0.0) >= half {
            return None;
        }
        let (mut early, mut late) = (0.0, last_age.max(f64::MIN_POSITIVE));
        while self.broken_at(late) < half && late < last_age * 1e6 {
            late *= 2.0;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(early, late);
            if self.broken_at(middle) < half { early = middle } else { late = middle }
        }
        Some(late)
    }

    /// The components that hold a thousandth of the pages or more.
    pub fn rates(&self) -> Vec<Rate> {
        let shown = |rate: f64| rate.is_finite().then_some(rate);
        self.parts
            .iter()
            .filter(|&&(weight, _)| weight >= 1e-3)
            .map(|&(weight, rate)| Rate { weight, rate: shown(rate) })
            .collect()
    }
}

/// At once, then from the fastest rate to the slowest, then never.
fn grid(first_age: f64, last_age: f64) -> Vec<f64> {
    let (fastest, slowest) = (FASTEST / first_age, SLOWEST / last_age.max(first_age));
    let between = |step: u32| fastest * (slowest / fastest).powf(f64::from(step) / f64::from(GRID - 1));
    std::iter::once(f64::INFINITY).chain((0..GRID).map(between)).chain(std::iter::once(0.0)).collect()
}

/// One round: each page is shared out among the rates that it may have.
fn improve(patterns: &[Pattern], chances: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let mut shares = vec![0.0; weights.len()];
    let mut all = 0.0;
    for (index, pattern) in patterns.iter().enumerate() {
        let likely: f64 = weights.iter().zip(chances).map(|(weight, row)| weight * row[index]).sum();
        if likely > 0.0 {
            all += pattern.pages;
            let of_weight = pattern.pages / likely;
            for ((share, weight), row) in shares.iter_mut().zip(weights).zip(chances) {
                *share += of_weight * weight * row[index];
            }
        }
    }
    if all == 0.0 { weights.to_vec() } else { shares.into_iter().map(|share| share / all).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::forecast::patterns::tests::shown_by;

    fn fitted(parts: &[(f64, f64)], workers: usize) -> Mixture {
        Mixture::fit(&shown_by(parts, &AGES, workers, 1e5), (1.0, 200.0), 1e5)
    }

    const AGES: [f64; 9] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];

    #[test]
    fn a_known_mixture_is_found_again() {
        let parts = [(0.1, f64::INFINITY), (0.2, 1.0), (0.3, 0.02), (0.4, 0.0)];
        let fitted = fitted(&parts, 2);
        for age in [0.0, 3.0, 30.0, 200.0, 600.0] {
            let truth = 1e5 * race::expected_pages(&parts, |rate| race::at_age(rate, age));
            assert!(
                (fitted.broken_at(age) / truth - 1.0).abs() < 0.05,
                "{age}: {}",
                fitted.broken_at(age) / truth
            );
        }
        assert!((fitted.plateau() / 6e4 - 1.0).abs() < 0.05, "{}", fitted.plateau());
    }

    #[test]
    fn beyond_what_was_seen_a_curve_that_bends_goes_on_bending() {
        // Rates over five decades, as under Zipf's law: no plateau within the ages observed.
        let decades: Vec<(f64, f64)> =
            (0..40).map(|step| (0.025, 10_f64.powf(1.0 - f64::from(step) / 8.0))).collect();
        let fitted = fitted(&decades, 2);
        for age in [400.0, 600.0] {
            let truth = 1e5 * race::expected_pages(&decades, |rate| race::at_age(rate, age));
            assert!((fitted.broken_at(age) / truth - 1.0).abs() < 0.03, "{age}");
        }
    }

    #[test]
    fn nothing_broken_is_forecast_as_hardly_anything() {
        let fitted = fitted(&[(1.0, 0.0)], 2);
        assert!(fitted.broken_at(1_000.0) < 50.0, "{}", fitted.broken_at(1_000.0));
        assert!(fitted.rates().iter().all(|part| part.rate.is_some()));
    }

    proptest::proptest! {
        #[test]
        fn the_curve_never_falls_and_stays_within_the_pages(
            weights in proptest::collection::vec(0.0..1.0_f64, 4), rate in 1e-3..1.0_f64
        ) {
            let sum: f64 = weights.iter().sum::<f64>() + 1e-9;
            let rates = [f64::INFINITY, rate, rate / 30.0, 0.0];
            let parts: Vec<_> = weights.iter().map(|weight| weight / sum).zip(rates).collect();
            let fitted = fitted(&parts, 2);
            let curve: Vec<f64> = (0..60).map(|step| fitted.broken_at(f64::from(step * 20))).collect();
            proptest::prop_assert!(curve.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
            proptest::prop_assert!(curve.iter().all(|&pages| (-1e-6..=1e5 + 1e-3).contains(&pages)));
        }
    }
}
