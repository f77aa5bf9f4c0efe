//! How sure a fit is: the same fit to many samples that could as well have been observed.
//!
//! A sample is drawn worker by worker, with replacement (Efron 1979): pages of one worker break together,
//! by one request, so that only workers are independent of each other; for the fit, which reads workers
//! in pairs, pair by pair. Two workers give few different
//! samples; so each sample also varies as much as workers of the measurement differ from each other, in
//! when their pages broke and in how many did.

use super::Interval;
use super::erosion::Observed;
use super::fit::Mixture;
use super::lives::{Life, Lives, average};
use super::patterns::{Pattern, patterns};
use super::simulate::Lots;

/// Samples.
const SAMPLES: usize = 120;
/// Standard deviations that a sample differs by at least, relative: the fit itself is no better.
const LEAST_SPREAD: f64 = 0.01;
/// What a fit may be off by beyond the ages observed, relative, for each factor of e.
const BEYOND: f64 = 0.06;

/// Fits to samples.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// The fit to what was observed.
    pub best: Mixture,
    fits: Vec<Mixture>,
    curves: Vec<Vec<f64>>,
    /// How workers differ in what they broke: one standard deviation, relative to the mean.
    pub spread: f64,
    last_age: f64,
    /// One number for each sample, from the standard normal distribution.
    chances: Vec<f64>,
}

impl Replicas {
    /// Fits the pages of some classes.
    pub fn of(lives: &Lives, classes: &[usize]) -> Self {
        let workers = &lives.workers;
        let pages = average(workers.iter().map(|life| classes.iter().map(|&class| life.pages[class]).sum()));
        let patterns = patterns(lives, classes);
        let best = Mixture::fit(&patterns, (lives.first_age(), lives.last_age()), pages);
        let spread = spread(workers);
        let pairs = patterns.iter().map(|pattern| pattern.pair + 1).max().unwrap_or(0);
        let mut lots = Lots::new(0x666f_726b);
        let (mut fits, mut curves) = (Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES));
        for _ in 0..SAMPLES {
            let sample = Sample::draw(workers, pairs, classes, spread, &mut lots);
            curves.push(sample.observed(workers, classes).kaplan_meier());
            fits.push(best.fit_again(&sample.vary(&patterns)));
        }
        let chances = (0..SAMPLES).map(|_| lots.normal()).collect();
        Self { best, fits, curves, spread, last_age: lives.last_age(), chances }
    }

    /// Middle 95 % of a figure of the fits.
    pub fn interval(&self, figure: impl Fn(&Mixture) -> f64) -> Interval {
        around(figure(&self.best), self.fits.iter().map(figure).collect())
    }

    /// Pages broken in one of `workers` workers, on average over them.
    ///
    /// `age` tells how far beyond the observed ages this is.
    pub fn broken(&self, workers: f64, age: f64, figure: impl Fn(&Mixture) -> f64) -> Interval {
        let beyond = BEYOND * (age / self.last_age).ln().max(0.0);
        let off = (self.spread.powi(2) / workers.max(1.0) + beyond.powi(2)).sqrt();
        let varied = |(fit, chance): (&Mixture, &f64)| (figure(fit) * (1.0 + off * chance)).min(fit.pages);
        around(figure(&self.best), self.fits.iter().zip(&self.chances).map(varied).collect())
    }

    /// The interval of the observed curve at a snapshot, from 0 to 1.
    pub fn observed(&self, snapshot: usize, estimate: f64) -> Interval {
        around(estimate, self.curves.iter().filter_map(|curve| curve.get(snapshot).copied()).collect())
    }
}

/// The middle 95 % of `samples`, stretched to hold the estimate.
fn around(estimate: f64, mut samples: Vec<f64>) -> Interval {
    samples.sort_by(f64::total_cmp);
    let cut = samples.len() / 40;
    let at = |index: usize| samples.get(index).copied().unwrap_or(estimate);
    Interval {
        low: at(cut).min(estimate),
        estimate,
        high: at(samples.len().saturating_sub(cut + 1)).max(estimate),
    }
}

/// Relative standard deviation of what workers broke, over the later third of the snapshots.
#[expect(clippy::cast_precision_loss, reason = "a number of workers")]
fn spread(workers: &[Life]) -> f64 {
    let totals: Vec<Vec<f64>> = workers.iter().map(Life::broken_so_far).collect();
    let snapshots = totals.iter().map(Vec::len).min().unwrap_or(0);
    if workers.len() < 2 || snapshots == 0 {
        return 0.1;
    }
    let variance = |snapshot: usize| {
        let mean = average(totals.iter().map(|total| total[snapshot]));
        let squares: f64 = totals.iter().map(|total| (total[snapshot] - mean).powi(2)).sum();
        squares / (workers.len() - 1) as f64 / mean.max(1.0).powi(2)
    };
    average((snapshots - snapshots.div_ceil(3)..snapshots).map(variance)).sqrt().max(LEAST_SPREAD)
}

/// What differs in a sample.
struct Sample {
    /// How often each worker was drawn.
    workers: Vec<f64>,
    /// How often each pair of workers was drawn: what two of them tell together would be lost if they
    /// were drawn one by one.
    pairs: Vec<f64>,
    /// By snapshot: how much more or less broke since the one before.
    factors: Vec<f64>,
    /// How much more or less broke in all.
    factor: f64,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "a number of workers")]
    fn draw(workers: &[Life], pairs: usize, classes: &[usize], spread: f64, lots: &mut Lots) -> Self {
        let mut drawn = |count: usize| {
            let mut often = vec![0.0; count];
            (0..count).for_each(|_| often[lots.below(count)] += 1.0);
            often
        };
        let (often, pairs) = (drawn(workers.len()), drawn(pairs));
        let differ = differences(workers, classes);
        let factors = differ.into_iter().map(|off| (off.min(1.0) * lots.normal()).exp()).collect();
        let factor = (1.0 + spread * lots.normal() / (workers.len() as f64).sqrt()).max(0.0);
        Self { workers: often, pairs, factors, factor }
    }

    fn observed(&self, workers: &[Life], classes: &[usize]) -> Observed {
        let mut observed = Observed::of(workers, &self.workers, classes);
        let before: f64 = observed.broken.iter().sum();
        for (broken, factor) in observed.broken.iter_mut().zip(&self.factors) {
            *broken *= factor;
        }
        scale_to(&mut observed, before * self.factor);
        observed
    }

    /// The patterns as they could have been: pages that broke nowhere make up for the difference.
    fn vary(&self, patterns: &[Pattern]) -> Vec<Pattern> {
        let broke = |pattern: &Pattern| pattern.known.iter().any(|known| known.broke.is_some());
        let sum = |of: &[Pattern], want: bool| -> f64 {
            of.iter().filter(|pattern| broke(pattern) == want).map(|pattern| pattern.pages).sum()
        };
        let mut varied = patterns.to_vec();
        for pattern in &mut varied {
            pattern.pages *= self.pairs.get(pattern.pair).copied().unwrap_or(1.0);
        }
        let (broken, stayed) = (sum(&varied, true), sum(&varied, false));
        for pattern in varied.iter_mut().filter(|pattern| broke(pattern)) {
            let factors = pattern.known.iter().filter_map(|known| self.factors.get(known.broke?));
            let (logs, count) =
                factors.fold((0.0, 0.0), |(logs, count), factor| (logs + factor.ln(), count + 1.0));
            pattern.pages *= if count > 0.0 { f64::exp(logs / count) } else { 1.0 };
        }
        let wanted = (broken * self.factor).min(broken + stayed);
        let scale = |now: f64, then: f64| if now > 0.0 { then / now } else { 0.0 };
        let (of_broken, of_stayed) =
            (scale(sum(&varied, true), wanted), scale(stayed, broken + stayed - wanted));
        for pattern in &mut varied {
            pattern.pages *= if broke(pattern) { of_broken } else { of_stayed };
        }
        varied
    }
}

/// How workers differ in what they broke between snapshots, relative to the mean and to their number.
///
/// Where their ages differ, as those of several recordings do, only what the sample itself varies by counts.
#[expect(clippy::cast_precision_loss, reason = "a number of workers")]
fn differences(workers: &[Life], classes: &[usize]) -> Vec<f64> {
    let Some(first) = workers.first() else { return Vec::new() };
    if workers.len() < 2 || workers.iter().any(|life| life.ages != first.ages) {
        return vec![0.1; workers.iter().map(|life| life.ages.len()).sum()];
    }
    let count = workers.len() as f64;
    let differ = |snapshot: usize| {
        let broken = |life: &Life| classes.iter().map(|&class| life.broken[class][snapshot]).sum::<f64>();
        let mean = average(workers.iter().map(broken));
        let squares: f64 = workers.iter().map(|life| (broken(life) - mean).powi(2)).sum();
        (squares / (count - 1.0)).sqrt() / mean.max(1.0) / count.sqrt()
    };
    (0..first.ages.len()).map(differ).collect()
}

/// Scales what broke to a sum, and lets the pages that stayed make up the difference.
fn scale_to(observed: &mut Observed, all: f64) {
    let left = observed.pages - observed.censored[..observed.censored.len() - 1].iter().sum::<f64>();
    let sum: f64 = observed.broken.iter().sum();
    let all = all.clamp(0.0, left);
    if sum > 0.0 {
        for broken in &mut observed.broken {
            *broken *= all / sum;
        }
    }
    if let Some(stayed) = observed.censored.last_mut() {
        *stayed = (left - all).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_estimate_and_nearly_all_samples() {
        let samples: Vec<f64> = (0..120).map(f64::from).collect();
        let interval = around(60.0, samples.clone());
        assert_eq!((interval.low, interval.high), (3.0, 116.0));
        assert!(around(500.0, samples).high >= 500.0);
    }

    #[test]
    fn scaling_keeps_every_page() {
        let mut observed = Observed {
            ages: vec![0.0, 1.0, 2.0],
            broken: vec![10.0, 20.0, 30.0],
            censored: vec![0.0, 5.0, 35.0],
            pages: 100.0,
        };
        scale_to(&mut observed, 30.0);
        let all: f64 = observed.broken.iter().chain(&observed.censored).sum();
        assert!((all - 100.0).abs() < 1e-9);
        assert!((observed.broken[2] - 15.0).abs() < 1e-9);
    }
}
