//! From lives of workers to the answers of a forecast.

use super::erosion::Observed;
use super::growth::Curve;
use super::ledger_n::{Model, choose_lifetime};
use super::lives::{Life, Lives, average};
use super::replicas::Replicas;
use super::{
    AgeUnit, ClassCurve, CurvePoint, Fitted, Forecast, Growth, GrowthPoint, Interval, Recycling,
    SCHEMA_VERSION,
};
use crate::units::{Bytes, PAGE_SIZE};

/// Classes that have curves of their own, beside that of all pages.
const MOST_CLASSES: usize = 6;
/// Ages of a fitted curve.
const POINTS: u32 = 48;
/// Beyond so many times the ages observed a forecast is a guess.
const FAR: f64 = 10.0;

/// What to forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Numbers of workers, ascending, none of them zero.
    pub workers: Vec<u32>,
    /// The age of the workers; that of the oldest observed otherwise.
    pub age: Option<f64>,
    /// A limit of memory, and where it comes from.
    pub limit: Option<(Bytes, String)>,
    /// The command line, for the report.
    pub command: String,
}

/// Forecasts families of a program.
pub fn forecast(lives: &Lives, question: &Question) -> Forecast {
    let all: Vec<usize> = (0..lives.classes.len()).collect();
    let age = question.age.unwrap_or_else(|| lives.last_age());
    let far = age.max(lives.last_age()) * 1.25;
    let erosion = Replicas::of(lives, &all);
    let points = fresh_points(&lives.workers);
    let fresh = Curve::fit(&points);
    let model = Model { lives, erosion: &erosion, fresh: &fresh };
    let most = question.workers.last().copied().unwrap_or(1);
    let (recycling, best_max_requests) = recycle(&model, most, far);

    let mut classes = vec![curve(lives, "all", &all, &erosion, far)];
    for (class, name) in largest_classes(lives) {
        classes.push(curve(lives, &name, &[class], &Replicas::of(lives, &[class]), far));
    }
    Forecast {
        schema_version: SCHEMA_VERSION,
        forkprint_version: env!("CARGO_PKG_VERSION").into(),
        command: question.command.clone(),
        title: lives.title.clone(),
        fitted: fitted(lives),
        classes,
        fresh: growth(&points, &fresh, far),
        age,
        families: question.workers.iter().map(|&workers| model.family(workers, age)).collect(),
        budget: question.limit.clone().map(|(limit, source)| model.budget(limit, source, age)),
        recycling,
        best_max_requests: best_max_requests.filter(|_| lives.unit == AgeUnit::Requests),
        break_even: vec![model.preload(age), model.refork(age)],
        notes: notes(lives, age),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of pages and bytes")]
fn fitted(lives: &Lives) -> Fitted {
    Fitted {
        captures: lives.recordings,
        workers: u32::try_from(lives.workers.len()).unwrap_or(u32::MAX),
        snapshots: u32::try_from(lives.snapshots()).unwrap_or(u32::MAX),
        age_unit: lives.unit,
        last_age: lives.last_age(),
        inherited_pages: lives.inherited.round() as u64,
        page_size: PAGE_SIZE,
        page_table_bytes: lives.page_tables.round() as u64,
        rung: Some(lives.rung),
    }
}

/// Replacing workers at ages from a hundredth of the far end to it, and the best of these.
fn recycle(model: &Model<'_>, workers: u32, far: f64) -> (Vec<Recycling>, Option<u64>) {
    let ages = (0..=16_u32).map(|step| far * 100_f64.powf(f64::from(step) / 16.0 - 1.0));
    let mut recycling: Vec<Recycling> = ages.map(|age| model.recycled(workers, age)).collect();
    let forever = model.family(workers, far).distinct.estimate;
    let best = choose_lifetime(&mut recycling, forever);
    (recycling, best)
}

/// The classes with most pages, each with a hundredth of all or more.
fn largest_classes(lives: &Lives) -> Vec<(usize, String)> {
    let pages = |class: usize| average(lives.workers.iter().map(|life| life.pages[class]));
    let mut largest: Vec<(usize, f64)> =
        (0..lives.classes.len()).map(|class| (class, pages(class))).collect();
    largest.sort_by(|one, other| other.1.total_cmp(&one.1));
    largest.retain(|&(_, pages)| pages >= lives.inherited / 100.0);
    largest.into_iter().take(MOST_CLASSES).map(|(class, _)| (class, lives.classes[class].clone())).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of pages")]
fn curve(lives: &Lives, name: &str, classes: &[usize], erosion: &Replicas, far: f64) -> ClassCurve {
    let weights = vec![1.0; lives.workers.len()];
    let observed = Observed::of(&lives.workers, &weights, classes);
    let pages = erosion.best.pages;
    let part = |interval: Interval| {
        let of = |value: f64| if pages > 0.0 { value / pages } else { 0.0 };
        Interval { low: of(interval.low), estimate: of(interval.estimate), high: of(interval.high) }
    };
    let points = observed.ages.iter().zip(observed.kaplan_meier()).enumerate();
    let plateau = erosion.interval(super::fit::Mixture::plateau);
    // What broke already stays broken; what is written too seldom to be seen may break or not.
    let seen = erosion.best.broken_at(lives.last_age());
    ClassCurve {
        name: name.to_owned(),
        pages: pages.round() as u64,
        observed: points
            .map(|(snapshot, (&age, broken))| CurvePoint { age, broken: erosion.observed(snapshot, broken) })
            .collect(),
        fitted: ages(far)
            .map(|age| CurvePoint { age, broken: part(erosion.broken(1.0, age, |fit| fit.broken_at(age))) })
            .collect(),
        rates: erosion.best.rates(),
        plateau: Interval { low: plateau.low.min(seen), ..plateau },
        half_life: erosion.best.half_life(lives.last_age()).map(|half| {
            let interval = erosion.interval(|fit| fit.half_life(lives.last_age()).unwrap_or(0.0));
            Interval { low: interval.low.min(half), estimate: half, high: interval.high.max(half) }
        }),
    }
}

/// Ages from 0 to the far end, denser where workers are young.
fn ages(far: f64) -> impl Iterator<Item = f64> {
    (0..=POINTS).map(move |step| far * (f64::from(step) / f64::from(POINTS)).powi(2))
}

/// Mean fresh pages by age.
fn fresh_points(workers: &[Life]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> =
        workers.iter().flat_map(|life| life.ages.iter().copied().zip(life.fresh.iter().copied())).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
        .chunk_by(|one, other| one.0.total_cmp(&other.0).is_eq())
        .map(|same| (same[0].0, average(same.iter().map(|point| point.1))))
        .collect()
}

fn growth(points: &[(f64, f64)], curve: &Curve, far: f64) -> Growth {
    let exact = |pages: f64| Interval { low: pages, estimate: pages, high: pages };
    let fitted = |age: f64| {
        let (low, high) = curve.range(age);
        GrowthPoint { age, pages: Interval { low: low.max(0.0), estimate: curve.at(age), high } }
    };
    Growth {
        observed: points.iter().map(|&(age, pages)| GrowthPoint { age, pages: exact(pages) }).collect(),
        fitted: ages(far).map(fitted).collect(),
    }
}

fn notes(lives: &Lives, age: f64) -> Vec<String> {
    let mut notes = Vec::new();
    if lives.unit == AgeUnit::Requests {
        notes.push(
            "ages are requests of the family divided by its workers: who served which is not recorded".into(),
        );
    }
    if lives.workers.len() == 1 {
        notes.push("one worker was measured: how workers differ is assumed to be 10 %, not measured".into());
    }
    let factor = age / lives.last_age();
    if factor > FAR {
        notes.push(format!(
            "the age asked for is {factor:.0} times the oldest observed: measure longer for a forecast to rely on"
        ));
    } else if factor > 1.0 {
        notes.push(format!("extrapolated to {factor:.1} times the oldest age observed"));
    }
    notes
}
