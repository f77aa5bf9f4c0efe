//! The race between the first write of a page and the end of its worker, in closed form.
//!
//! A page is written for the first time at a rate `λ`: it is still shared at age `a` with probability
//! `e^(−λa)`. What is left to say is which age a worker has when one looks. `docs/forecast.md` derives
//! each formula; `simulate` plays the same race by drawing lots.

/// Chance that a page is broken in a worker of age `age`.
///
/// ```
/// # use forkprint::forecast::race::at_age;
/// assert!((at_age(0.5, 2.0) - 0.632).abs() < 1e-3);
/// ```
pub fn at_age(rate: f64, age: f64) -> f64 {
    -(-product(rate, age)).exp_m1()
}

/// Chance that a page is broken when its worker ends, for lifetimes that are exponential with rate
/// `mortality`: the chance that the write comes first, `λ/(λ+μ)`.
///
/// Such workers have no memory, so this is also the chance for a worker looked at at any time.
pub fn exponential_lives(rate: f64, mortality: f64) -> f64 {
    if rate.is_infinite() {
        1.0
    } else if rate == 0.0 {
        0.0
    } else {
        rate / (rate + mortality)
    }
}

/// Chance that a page is broken in a worker looked at at any time, where each is replaced at age
/// `lifetime` and ages are spread evenly: `1 − (1 − e^(−λT))/(λT)`.
pub fn recycled(rate: f64, lifetime: f64) -> f64 {
    let writes = product(rate, lifetime);
    if writes.is_infinite() {
        1.0
    } else if writes < 1e-4 {
        // The series, where the difference of nearly equal numbers would lose its digits.
        writes / 2.0 - writes * writes / 6.0
    } else {
        1.0 + (-writes).exp_m1() / writes
    }
}

/// Pages in a mixture that are broken, where `chance` tells it for one rate.
///
/// `rates` are (pages, rate); the sum runs over independent pages, so it needs no more than their
/// expectations.
pub fn expected_pages(rates: &[(f64, f64)], chance: impl Fn(f64) -> f64) -> f64 {
    rates.iter().map(|&(pages, rate)| pages * chance(rate)).sum()
}

/// Distinct pages of a family: what the zygote keeps alive, and for each worker its copies and what it
/// made for itself.
pub fn family_pages(zygote: f64, workers: f64, broken: f64, fresh: f64) -> f64 {
    zygote + workers * (broken + fresh)
}

/// Pages that sharing saves against workers of which each holds all for itself.
pub fn saved_pages(inherited: f64, workers: f64, broken: f64) -> f64 {
    workers * (inherited - broken)
}

/// `rate × age`, where pages that break at once have done so at age zero, too.
fn product(rate: f64, age: f64) -> f64 {
    if rate.is_infinite() { f64::INFINITY } else { rate * age }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_break_at_once_or_never_need_no_race() {
        for age in [0.0, 1.0, 1e9] {
            assert!((at_age(f64::INFINITY, age) - 1.0).abs() < 1e-12);
            assert!(at_age(0.0, age).abs() < 1e-12);
            assert!((recycled(f64::INFINITY, age) - 1.0).abs() < 1e-12);
            assert!(recycled(0.0, age).abs() < 1e-12);
        }
        assert!((exponential_lives(f64::INFINITY, 1.0) - 1.0).abs() < 1e-12);
        assert!(exponential_lives(0.0, 0.0).abs() < 1e-12);
    }

    #[test]
    fn recycling_is_the_mean_over_all_ages() {
        let steps = 100_000_u32;
        for (rate, lifetime) in [(0.01, 1.0), (1.0, 1.0), (0.5, 30.0), (1e-7, 10.0)] {
            let age = |step: u32| (f64::from(step) + 0.5) * lifetime / f64::from(steps);
            let mean = (0..steps).map(|step| at_age(rate, age(step))).sum::<f64>() / f64::from(steps);
            assert!((recycled(rate, lifetime) / mean - 1.0).abs() < 1e-6, "{rate} {lifetime}");
        }
    }

    #[test]
    fn the_series_meets_the_formula() {
        let (below, above) = (recycled(0.999_999e-4, 1.0), recycled(1.000_001e-4, 1.0));
        assert!((below / above - 1.0).abs() < 1e-5);
    }
}
