//! The erosion curve: which part of the pages is broken at which age, as far as it was observed.
//!
//! The estimate is that of Kaplan and Meier (1958): between two ages the chance of staying shared is
//! one less the part of the pages at risk that broke. A page that is unmapped, or whose worker was not
//! measured any longer, is not at risk any more (censored on the right), and is not counted as shared.

use super::lives::Life;

/// Pages that broke, left and stayed, at each age, summed over workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Ages of snapshots, ascending; the first is 0.
    pub ages: Vec<f64>,
    /// Pages first seen broken at this age.
    pub broken: Vec<f64>,
    /// Pages that left unbroken at this age, or whose worker was last seen at it.
    pub censored: Vec<f64>,
    /// All pages.
    pub pages: f64,
}

impl Observed {
    /// Sums the classes `classes` of workers, each of which counts `weights` times.
    pub fn of(lives: &[Life], weights: &[f64], classes: &[usize]) -> Self {
        let mut ages: Vec<f64> = lives.iter().flat_map(|life| life.ages.iter().copied()).collect();
        ages.sort_by(f64::total_cmp);
        ages.dedup();
        let mut observed =
            Self { broken: vec![0.0; ages.len()], censored: vec![0.0; ages.len()], pages: 0.0, ages };
        for (life, &weight) in lives.iter().zip(weights) {
            observed.add(life, weight, classes);
        }
        observed
    }

    fn add(&mut self, life: &Life, weight: f64, classes: &[usize]) {
        for &class in classes {
            let mut left = life.pages[class];
            let mut last = 0;
            for (snapshot, &age) in life.ages.iter().enumerate() {
                last = self.ages.partition_point(|&known| known < age);
                self.broken[last] += weight * life.broken[class][snapshot];
                self.censored[last] += weight * life.gone[class][snapshot];
                left -= life.broken[class][snapshot] + life.gone[class][snapshot];
            }
            self.censored[last] += weight * left;
            self.pages += weight * life.pages[class];
        }
    }

    /// The part that is broken at each age, from 0 to 1.
    pub fn kaplan_meier(&self) -> Vec<f64> {
        let (mut at_risk, mut shared) = (self.pages, 1.0);
        let step = |(&broken, &censored): (&f64, &f64)| {
            if at_risk > 0.0 {
                shared *= 1.0 - (broken / at_risk).min(1.0);
            }
            at_risk -= broken + censored;
            1.0 - shared
        };
        self.broken.iter().zip(&self.censored).map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(ages: &[f64], broken: &[f64], gone: &[f64], pages: f64) -> Life {
        Life {
            broken: vec![broken.to_vec()],
            gone: vec![gone.to_vec()],
            pages: vec![pages],
            ..Life::of_ages(ages)
        }
    }

    #[test]
    fn without_censoring_the_curve_is_the_part_that_broke() {
        let one = life(&[0.0, 1.0, 2.0], &[10.0, 20.0, 30.0], &[0.0; 3], 100.0);
        let curve = Observed::of(&[one], &[1.0], &[0]).kaplan_meier();
        for (found, expected) in curve.iter().zip([0.1, 0.3, 0.6]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn pages_that_leave_are_no_longer_at_risk() {
        // 100 pages: 20 break and 30 leave at age 1; of the 50 left half break at age 2.
        let one = life(&[0.0, 1.0, 2.0], &[0.0, 20.0, 25.0], &[0.0, 30.0, 0.0], 100.0);
        let curve = Observed::of(&[one], &[1.0], &[0]).kaplan_meier();
        assert!((curve[1] - 0.2).abs() < 1e-12);
        assert!((curve[2] - (1.0 - 0.8 * 0.5)).abs() < 1e-12);
    }

    #[test]
    fn a_worker_that_was_measured_for_less_time_counts_for_that_time() {
        let short = life(&[0.0, 1.0], &[0.0, 50.0], &[0.0; 2], 100.0);
        let long = life(&[0.0, 1.0, 4.0], &[0.0, 50.0, 25.0], &[0.0; 3], 100.0);
        let curve = Observed::of(&[short, long], &[1.0, 1.0], &[0]).kaplan_meier();
        assert!((curve[1] - 0.5).abs() < 1e-12);
        // At age 4 only the 50 pages of the second worker are at risk.
        assert!((curve[2] - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_worker_with_double_weight_counts_twice() {
        let one = life(&[0.0, 1.0], &[0.0, 10.0], &[0.0; 2], 100.0);
        let two = life(&[0.0, 1.0], &[0.0, 40.0], &[0.0; 2], 100.0);
        let curve = Observed::of(&[one, two], &[2.0, 1.0], &[0]).kaplan_meier();
        assert!((curve[1] - 0.2).abs() < 1e-12);
    }
}
