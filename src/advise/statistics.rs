//! Means with 95 % confidence intervals, and what may be concluded from them.
//!
//! Rounds are few, so the intervals are Student's: with three rounds the mean's standard error counts
//! 4.3 times, with two 12.7 times. An interval of two or three rounds is honest and wide; a remedy that
//! gives back much passes even so, and more rounds (`--rounds`) tell smaller ones apart.

use crate::report::advice::{Estimate, Verdict};

/// The 97.5 % quantiles of Student's distribution with 1 to 30 degrees of freedom.
const T: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157,
    2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905, 2.109_816, 2.100_922,
    2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658, 2.063_899, 2.059_539, 2.055_529, 2.051_831,
    2.048_407, 2.045_230, 2.042_272,
];

/// The same quantile of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// Less than this part of the family's memory today is not worth a change, however sure it is.
const MATERIAL: f64 = 0.005;

/// Student's 97.5 % quantile, by the expansion of Cornish and Fisher beyond the table.
fn quantile(degrees: usize) -> f64 {
    if let Some(&tabled) = degrees.checked_sub(1).and_then(|index| T.get(index)) {
        return tabled;
    }
    let (z, n) = (NORMAL, count(degrees));
    let first = (z.powi(3) + z) / (4.0 * n);
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n);
    z + first + second
}

#[expect(clippy::cast_precision_loss, reason = "numbers of rounds")]
const fn count(number: usize) -> f64 {
    number as f64
}

/// The mean of some values with its interval. One value alone shows no interval: its ends are the value.
pub fn estimate(values: &[f64]) -> Estimate {
    let n = count(values.len());
    if values.is_empty() {
        return Estimate::default();
    }
    let mean = values.iter().sum::<f64>() / n;
    if values.len() == 1 {
        return Estimate { low: mean, mean, high: mean };
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let half = quantile(values.len() - 1) * (squares / (n - 1.0)).sqrt() / n.sqrt();
    Estimate { low: mean - half, mean, high: mean + half }
}

/// `before` less `after`, round by round: what varies from round to round alike in both falls out.
pub fn difference(before: &[f64], after: &[f64]) -> Estimate {
    estimate(&before.iter().zip(after).map(|(before, after)| before - after).collect::<Vec<_>>())
}

/// What a saving has to exceed to be believed and to matter: how far the program as it is varies from
/// round to round, and half a percent of its memory.
pub fn noise(today: &[f64]) -> f64 {
    let most = today.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = today.iter().copied().fold(f64::INFINITY, f64::min);
    if today.is_empty() { 0.0 } else { (most - least).max(MATERIAL * estimate(today).mean) }
}

/// What to make of a saving that was measured in so many rounds.
pub fn verdict(saving: Estimate, noise: f64, rounds: usize) -> Verdict {
    match saving {
        _ if rounds < 2 => Verdict::DoesNotHelp,
        Estimate { low, mean, .. } if low > 0.0 && mean > noise => Verdict::Helps,
        Estimate { high, mean, .. } if high < 0.0 && mean < -noise => Verdict::Harms,
        _ => Verdict::DoesNotHelp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::simulate::Lots;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-4 * b.abs().max(1.0)
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Abramowitz and Stegun, table 26.10; beyond 30 degrees the expansion.
        for (degrees, expected) in [
            (1, 12.7062),
            (2, 4.30265),
            (9, 2.26216),
            (30, 2.04227),
            (40, 2.02108),
            (60, 2.0003),
            (120, 1.97993),
        ] {
            assert!(close(quantile(degrees), expected), "{degrees}: {}", quantile(degrees));
        }
        assert!((31..400).all(|degrees| quantile(degrees) < quantile(degrees - 1)));
    }

    #[test]
    fn an_interval_is_the_one_of_a_textbook() {
        // Mean 5, sample deviation 2, four values: 5 ± 3.182 · 2 / 2.
        let found = estimate(&[
            5.0 - 3.0_f64.sqrt(),
            5.0 - 3.0_f64.sqrt(),
            5.0 + 3.0_f64.sqrt(),
            5.0 + 3.0_f64.sqrt(),
        ]);
        assert!(
            close(found.mean, 5.0) && close(found.high, 5.0 + 3.182_446) && close(found.low, 5.0 - 3.182_446)
        );
        assert_eq!(estimate(&[7.0]), Estimate { low: 7.0, mean: 7.0, high: 7.0 });
        assert_eq!(estimate(&[]), Estimate::default());
    }

    #[test]
    fn what_varies_alike_in_both_falls_out_of_a_difference() {
        let saving = difference(&[100.0, 150.0, 120.0], &[90.0, 140.0, 110.0]);
        assert_eq!(saving, Estimate { low: 10.0, mean: 10.0, high: 10.0 });
    }

    #[test]
    fn only_a_saving_above_zero_and_above_the_noise_helps() {
        let of = |low, mean, high| Estimate { low, mean, high };
        assert_eq!(verdict(of(5.0, 10.0, 15.0), 3.0, 3), Verdict::Helps);
        assert_eq!(verdict(of(-1.0, 10.0, 21.0), 3.0, 3), Verdict::DoesNotHelp);
        assert_eq!(verdict(of(5.0, 10.0, 15.0), 12.0, 3), Verdict::DoesNotHelp);
        assert_eq!(verdict(of(-15.0, -10.0, -5.0), 3.0, 3), Verdict::Harms);
        assert_eq!(verdict(of(10.0, 10.0, 10.0), 3.0, 1), Verdict::DoesNotHelp, "one round shows nothing");
        assert!(close(noise(&[100.0, 104.0, 102.0]), 4.0) && close(noise(&[1000.0, 1000.0]), 5.0));
    }

    /// Intervals are what they are called: of many repetitions about 95 % hold the truth.
    #[test]
    fn ninety_five_of_a_hundred_intervals_hold_the_truth() {
        let mut lots = Lots::new(88);
        for rounds in [2, 3, 5] {
            let held = (0..20_000).filter(|_| {
                let values: Vec<f64> = (0..rounds).map(|_| 3.0 + lots.normal()).collect();
                let found = estimate(&values);
                found.low <= 3.0 && 3.0 <= found.high
            });
            let part = count(held.count()) / 20_000.0;
            assert!((0.94..0.96).contains(&part), "{rounds} rounds: {part}");
        }
    }
}
