//! Whole families: how much memory N workers of an age hold, and what changes that.

use super::growth::Curve;
use super::lives::{Lives, number};
use super::race;
use super::replicas::Replicas;
use super::{BreakEven, Budget, FamilySize, Interval, Recycling};
use crate::units::{Bytes, PAGE_SIZE};

/// Bytes in a page.
const PAGE: f64 = number(PAGE_SIZE);
/// No more workers are thought of.
const MOST_WORKERS: u32 = 1 << 20;

/// What is known of the program: its pages, and how they break.
#[derive(Debug)]
pub struct Model<'a> {
    /// What was observed.
    pub lives: &'a Lives,
    /// All pages of a worker.
    pub erosion: &'a Replicas,
    /// What a worker makes for itself.
    pub fresh: &'a Curve,
}

impl Model<'_> {
    /// The family of `workers` workers of one age.
    pub fn family(&self, workers: u32, age: f64) -> FamilySize {
        let broken = self.erosion.broken(f64::from(workers), age, |fit| fit.broken_at(age));
        let (least, most) = self.fresh.range(age);
        self.size(workers, broken, Interval { low: least, estimate: self.fresh.at(age), high: most })
    }

    fn size(&self, workers: u32, broken: Interval, fresh: Interval) -> FamilySize {
        let count = f64::from(workers);
        let bytes =
            |broken: f64, fresh: f64| PAGE * race::family_pages(self.lives.zygote, count, broken, fresh);
        let distinct = Interval {
            low: bytes(broken.low, fresh.low.max(0.0)),
            estimate: bytes(broken.estimate, fresh.estimate),
            high: bytes(broken.high, fresh.high),
        };
        let unshared = bytes(self.lives.inherited, fresh.estimate);
        let saved = |broken: f64| PAGE * race::saved_pages(self.lives.inherited, count, broken);
        let saving =
            Interval { low: saved(broken.high), estimate: saved(broken.estimate), high: saved(broken.low) };
        let page_tables = self.lives.zygote_page_tables + count * self.lives.page_tables;
        FamilySize { workers, distinct, page_tables, unshared, saving }
    }

    /// How many workers of an age fit in so many bytes.
    pub fn budget(&self, limit: Bytes, source: String, age: f64) -> Budget {
        let fits = |of: fn(&Interval) -> f64| {
            let (mut fit, mut too_many) = (0, MOST_WORKERS);
            while too_many - fit > 1 {
                let workers = u32::midpoint(fit, too_many);
                let size = self.family(workers, age);
                if of(&size.distinct) + size.page_tables <= number(limit.0) {
                    fit = workers;
                } else {
                    too_many = workers;
                }
            }
            u64::from(fit)
        };
        let workers = [fits(|size| size.high), fits(|size| size.estimate), fits(|size| size.low)];
        Budget { limit_bytes: limit.0, source, workers }
    }

    /// A family of which each worker is replaced at an age, staggered.
    pub fn recycled(&self, workers: u32, lifetime: f64) -> Recycling {
        let broken = self
            .erosion
            .broken(f64::from(workers), lifetime, |fit| fit.broken(|rate| race::recycled(rate, lifetime)));
        let fresh = self.fresh.mean(lifetime);
        let size = self.size(workers, broken, Interval { low: fresh, estimate: fresh, high: fresh });
        Recycling { age: lifetime, distinct: size.distinct, gain: 0.0 }
    }

    /// From how many workers of an age on it pays to load the application before the fork.
    pub fn preload(&self, age: f64) -> BreakEven {
        let family = self.family(1, age);
        let (zygote, inherited) = (PAGE * self.lives.zygote, PAGE * self.lives.inherited);
        let worker = family.distinct.estimate - zygote;
        let alone = inherited + PAGE * self.fresh.at(age);
        let because = format!(
            "preloaded, the zygote keeps {} and each worker adds {}; a worker that loads the application itself holds about {}",
            shown(zygote),
            shown(worker),
            shown(alone)
        );
        BreakEven { what: "preload".into(), workers: break_even(zygote, alone - worker), because }
    }

    /// From how many workers of an age on it pays to fork them anew from one of them.
    ///
    /// What such a worker made for itself is then shared by all. Of what it broke, ghosts will break
    /// again in each, as whatever wrote them goes on writing; pages that differ are taken to stay.
    pub fn refork(&self, age: f64) -> BreakEven {
        let (broken, fresh) = (self.erosion.best.broken_at(age), self.fresh.at(age));
        let mold = PAGE * (broken + fresh);
        let shared = PAGE * (broken * self.lives.differing + fresh);
        let because = format!(
            "a warm worker to fork from holds {} for itself; of that {} (fresh pages, and broken ones that differ) need not be made again by each worker, if nobody writes them again",
            shown(mold),
            shown(shared)
        );
        BreakEven { what: "refork".into(), workers: break_even(mold, shared), because }
    }
}

/// The least number of workers whose gain exceeds a cost.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the comparison")]
fn break_even(cost: f64, gain_of_a_worker: f64) -> Option<u32> {
    let workers = (cost / gain_of_a_worker).floor() + 1.0;
    (gain_of_a_worker > 0.0 && workers < f64::from(MOST_WORKERS)).then_some(workers as u32)
}

/// The age at which replacing workers pays best, and what each age gets of the most there is to get.
///
/// The best is where the curve of memory over the logarithm of the age lies deepest below the straight
/// line between its ends: replacing later costs memory, replacing sooner hardly saves any more. Nothing
/// where all of it is less than a twentieth of the family.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an age in requests")]
pub fn choose_lifetime(recycling: &mut [Recycling], forever: f64) -> Option<u64> {
    let smallest = recycling.iter().map(|one| one.distinct.estimate).fold(forever, f64::min);
    for one in &mut *recycling {
        one.gain = if forever > smallest {
            ((forever - one.distinct.estimate) / (forever - smallest)).clamp(0.0, 1.0)
        } else {
            0.0
        };
    }
    if forever - smallest < 0.05 * forever {
        return None;
    }
    let (youngest, oldest) = (recycling.first()?, recycling.last()?);
    let width = (oldest.age / youngest.age).ln();
    let below = |one: &Recycling| {
        let along = (one.age / youngest.age).ln() / width;
        let line =
            youngest.distinct.estimate + along * (oldest.distinct.estimate - youngest.distinct.estimate);
        line - one.distinct.estimate
    };
    let best = recycling.iter().max_by(|one, other| below(one).total_cmp(&below(other)))?;
    Some(best.age.round().max(1.0) as u64)
}

/// A size for people.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in bytes")]
fn shown(bytes: f64) -> Bytes {
    Bytes(bytes.max(0.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_that_never_covers_the_cost_breaks_even_never() {
        assert_eq!(break_even(10.0, 4.0), Some(3));
        assert_eq!(break_even(8.0, 4.0), Some(3), "two only balance it");
        assert_eq!(break_even(0.0, 1.0), Some(1));
        assert_eq!(break_even(1.0, 0.0), None);
        assert_eq!(break_even(1.0, -1.0), None);
    }

    fn at(age: f64, estimate: f64) -> Recycling {
        Recycling { age, distinct: Interval { low: estimate, estimate, high: estimate }, gain: 0.0 }
    }

    #[test]
    fn the_best_age_is_before_the_curve_rises() {
        let mut curve =
            [at(1.0, 100.0), at(10.0, 102.0), at(100.0, 105.0), at(1_000.0, 180.0), at(10_000.0, 300.0)];
        assert_eq!(choose_lifetime(&mut curve, 310.0), Some(100));
        assert!((curve[0].gain - 1.0).abs() < 1e-12 && curve[4].gain < 0.1);
    }

    #[test]
    fn what_hardly_grows_is_never_replaced() {
        let mut curve = [at(1.0, 100.0), at(10.0, 101.0), at(100.0, 102.0)];
        assert_eq!(choose_lifetime(&mut curve, 103.0), None);
    }
}
