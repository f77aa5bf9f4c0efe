//! A mixture of rates for the first writes of pages, fitted to what was observed between snapshots.
//!
//! Every page has its own rate; only their distribution matters. It is written on a grid of rates, beside
//! pages that break at once and pages that never do, and found by expectation and maximisation
//! (Dempster, Laird and Rubin 1977) on the likelihood of the counts between snapshots. Each round makes
//! the likelihood larger and keeps the weights positive and their sum at one, so nothing can diverge.

use super::Rate;
use super::erosion::Observed;
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
    /// Fits the mixture. `pages` are those of one worker.
    pub fn fit(observed: &Observed, pages: f64) -> Self {
        let even = grid(observed).into_iter().map(|rate| (EVEN, rate)).collect();
        Self { pages, parts: even }.improved(observed, ROUNDS)
    }

    /// Fits a mixture of the same rates to a sample that differs a little.
    pub fn fit_again(&self, observed: &Observed) -> Self {
        let start = |&(weight, rate): &(f64, f64)| ((1.0 - EVENLY) * weight + EVENLY * EVEN, rate);
        Self { pages: self.pages, parts: self.parts.iter().map(start).collect() }
            .improved(observed, FEW_ROUNDS)
    }

    fn improved(self, observed: &Observed, rounds: u32) -> Self {
        let intervals = Intervals::of(observed);
        let chances: Vec<Vec<f64>> = self.parts.iter().map(|&(_, rate)| intervals.chances(rate)).collect();
        let mut weights: Vec<f64> = self.parts.iter().map(|&(weight, _)| weight).collect();
        for _ in 0..rounds {
            weights = intervals.improve(&chances, &weights);
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
fn grid(observed: &Observed) -> Vec<f64> {
    let first = observed.ages.iter().copied().find(|&age| age > 0.0).unwrap_or(1.0);
    let (fastest, slowest) = (FASTEST / first, SLOWEST / observed.last_age().max(first));
    let between = |step: u32| fastest * (slowest / fastest).powf(f64::from(step) / f64::from(GRID - 1));
    std::iter::once(f64::INFINITY).chain((0..GRID).map(between)).chain(std::iter::once(0.0)).collect()
}

/// Counts of pages by what is known of the age at which they broke.
struct Intervals {
    /// Not before, not after; infinite for pages never seen broken.
    bounds: Vec<(f64, f64)>,
    counts: Vec<f64>,
}

impl Intervals {
    fn of(observed: &Observed) -> Self {
        let (mut bounds, mut counts) = (Vec::new(), Vec::new());
        let mut before = None;
        for ((&age, &broken), &censored) in observed.ages.iter().zip(&observed.broken).zip(&observed.censored)
        {
            let since = before.replace(age);
            for (bound, count) in
                [((since.unwrap_or(f64::NEG_INFINITY), age), broken), ((age, f64::INFINITY), censored)]
            {
                if count > 0.0 {
                    bounds.push(bound);
                    counts.push(count);
                }
            }
        }
        Self { bounds, counts }
    }

    /// For each count, the chance that a page of this rate is in it.
    fn chances(&self, rate: f64) -> Vec<f64> {
        let broken = |age: f64| match age {
            f64::NEG_INFINITY => 0.0,
            f64::INFINITY => 1.0,
            age => race::at_age(rate, age),
        };
        self.bounds.iter().map(|&(since, until)| (broken(until) - broken(since)).max(0.0)).collect()
    }

    /// One round: each page is shared out among the rates that it may have.
    fn improve(&self, chances: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
        let mut shares = vec![0.0; weights.len()];
        let mut all = 0.0;
        for (interval, &count) in self.counts.iter().enumerate() {
            let likely: f64 = weights.iter().zip(chances).map(|(weight, row)| weight * row[interval]).sum();
            if likely > 0.0 {
                all += count;
                for ((share, weight), row) in shares.iter_mut().zip(weights).zip(chances) {
                    *share += count * weight * row[interval] / likely;
                }
            }
        }
        if all == 0.0 { weights.to_vec() } else { shares.into_iter().map(|share| share / all).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a mixture would show at these ages.
    fn shown_by(parts: &[(f64, f64)], ages: &[f64]) -> Observed {
        let pages = 1e5;
        let broken_at = |age: f64| race::expected_pages(parts, |rate| race::at_age(rate, age)) * pages;
        let mut broken = vec![broken_at(0.0)];
        broken.extend(ages.windows(2).map(|pair| broken_at(pair[1]) - broken_at(pair[0])));
        let mut censored = vec![0.0; ages.len()];
        censored[ages.len() - 1] = pages - broken.iter().sum::<f64>();
        Observed { ages: ages.to_vec(), broken, censored, pages }
    }

    const AGES: [f64; 9] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];

    #[test]
    fn a_known_mixture_is_found_again() {
        let parts = [(0.1, f64::INFINITY), (0.2, 1.0), (0.3, 0.02), (0.4, 0.0)];
        let fitted = Mixture::fit(&shown_by(&parts, &AGES), 1e5);
        for age in [0.0, 3.0, 30.0, 200.0, 600.0] {
            let truth = 1e5 * race::expected_pages(&parts, |rate| race::at_age(rate, age));
            assert!(
                (fitted.broken_at(age) / truth - 1.0).abs() < 0.05,
                "{age}: {}",
                fitted.broken_at(age) / truth
            );
        }
        // Pages that nobody saw break may be slow or never break: the plateau is known from below.
        assert!((5.7e4..8e4).contains(&fitted.plateau()), "{}", fitted.plateau());
    }

    #[test]
    fn beyond_what_was_seen_a_curve_that_bends_goes_on_bending() {
        // Rates over five decades, as under Zipf's law: no plateau within the ages observed.
        let decades: Vec<(f64, f64)> =
            (0..40).map(|step| (0.025, 10_f64.powf(1.0 - f64::from(step) / 8.0))).collect();
        let fitted = Mixture::fit(&shown_by(&decades, &AGES), 1e5);
        for age in [400.0, 600.0] {
            let truth = 1e5 * race::expected_pages(&decades, |rate| race::at_age(rate, age));
            assert!((fitted.broken_at(age) / truth - 1.0).abs() < 0.03, "{age}");
        }
    }

    #[test]
    fn nothing_broken_is_forecast_as_hardly_anything() {
        let fitted = Mixture::fit(&shown_by(&[(1.0, 0.0)], &AGES), 1e5);
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
            let fitted = Mixture::fit(&shown_by(&parts, &AGES), 1e5);
            let curve: Vec<f64> = (0..60).map(|step| fitted.broken_at(f64::from(step * 20))).collect();
            proptest::prop_assert!(curve.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
            proptest::prop_assert!(curve.iter().all(|&pages| (-1e-6..=1e5 + 1e-3).contains(&pages)));
        }
    }
}
