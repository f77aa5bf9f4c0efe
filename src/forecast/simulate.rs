//! The race played by drawing lots: what the closed forms are checked against.

/// Numbers that look random, the same ones for the same seed (`SplitMix64`, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Lots(u64);

impl Lots {
    /// Begins a sequence.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number between 0 and 1, never either of them.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A waiting time with this rate.
    pub fn exponential(&mut self, rate: f64) -> f64 {
        if rate == 0.0 { f64::INFINITY } else { -self.unit().ln() / rate }
    }

    /// A number from the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * self.unit().ln()).sqrt(), std::f64::consts::TAU * self.unit());
        radius * angle.cos()
    }

    /// A number below `limit`, which must not be zero.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.bits() % limit as u64).unwrap_or(0)
    }
}

/// How long workers live.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lives {
    /// All have this age.
    Age(f64),
    /// Each is replaced at this age; one looks at any time.
    Recycled(f64),
    /// Lifetimes are exponential with this rate; one looks at any time, after the family has run long
    /// enough to have forgotten its start.
    Exponential(f64),
}

/// Distinct pages of one family of `workers`, in which each page of `rates` (pages, first writes per
/// unit of age) breaks by itself.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of pages")]
pub fn family_pages(rates: &[(f64, f64)], zygote: f64, workers: u32, lives: Lives, lots: &mut Lots) -> f64 {
    let mut pages = zygote;
    for _ in 0..workers {
        let age = age_of_a_worker(lives, lots);
        for &(count, rate) in rates {
            let broken = (0..count as u64).filter(|_| lots.exponential(rate) <= age).count();
            pages += f64::from(u32::try_from(broken).unwrap_or(u32::MAX));
        }
    }
    pages
}

/// The age at which a worker is met.
fn age_of_a_worker(lives: Lives, lots: &mut Lots) -> f64 {
    match lives {
        Lives::Age(age) => age,
        Lives::Recycled(lifetime) => lifetime * lots.unit(),
        Lives::Exponential(mortality) => {
            // Workers follow each other until the one that lives at the time of the look.
            let look = 40.0 / mortality;
            let mut born = 0.0;
            loop {
                let life = lots.exponential(mortality);
                if born + life > look {
                    return look - born;
                }
                born += life;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::race;

    /// Four kinds of pages: hot, warm, cold, and never written.
    const RATES: [(f64, f64); 4] = [(300.0, 2.0), (400.0, 0.3), (900.0, 0.02), (400.0, 0.0)];
    const ZYGOTE: f64 = 2_000.0;
    const WORKERS: u32 = 6;

    fn mean_of_families(lives: Lives, families: u32) -> f64 {
        let mut lots = Lots::new(0xf0_4b);
        let total: f64 = (0..families).map(|_| family_pages(&RATES, ZYGOTE, WORKERS, lives, &mut lots)).sum();
        total / f64::from(families)
    }

    fn closed(chance: impl Fn(f64) -> f64) -> f64 {
        let broken = race::expected_pages(&RATES, chance);
        race::family_pages(ZYGOTE, f64::from(WORKERS), broken, 0.0)
    }

    #[track_caller]
    fn within_half_a_percent(simulated: f64, closed: f64) {
        // Of the copies alone, so that the zygote's constant part does not hide an error.
        let (simulated, closed) = (simulated - ZYGOTE, closed - ZYGOTE);
        assert!((simulated / closed - 1.0).abs() < 0.005, "simulated {simulated}, closed form {closed}");
    }

    #[test]
    fn workers_of_one_age() {
        for age in [0.5, 3.0, 40.0] {
            within_half_a_percent(
                mean_of_families(Lives::Age(age), 150),
                closed(|rate| race::at_age(rate, age)),
            );
        }
    }

    #[test]
    fn workers_recycled_at_an_age() {
        for lifetime in [2.0, 50.0] {
            let simulated = mean_of_families(Lives::Recycled(lifetime), 1_500);
            within_half_a_percent(simulated, closed(|rate| race::recycled(rate, lifetime)));
        }
    }

    #[test]
    fn workers_that_end_at_random() {
        let simulated = mean_of_families(Lives::Exponential(0.1), 2_000);
        within_half_a_percent(simulated, closed(|rate| race::exponential_lives(rate, 0.1)));
    }

    #[test]
    fn the_saving_is_what_the_family_would_hold_unshared_less_what_it_holds() {
        let inherited: f64 = RATES.iter().map(|&(pages, _)| pages).sum();
        let broken = race::expected_pages(&RATES, |rate| race::at_age(rate, 3.0));
        let unshared = race::family_pages(ZYGOTE, 6.0, inherited, 0.0);
        let shared = mean_of_families(Lives::Age(3.0), 150);
        let saved = race::saved_pages(inherited, 6.0, broken);
        assert!(((unshared - shared) / saved - 1.0).abs() < 0.005);
    }
}
