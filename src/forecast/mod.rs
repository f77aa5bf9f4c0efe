//! The race between writes and the life of a worker: what a family of N workers will hold, and when.
//!
//! Pure: recordings come in as [`Lives`], a [`Forecast`] goes out. `docs/forecast.md` derives the formulas.

mod ask;
mod erosion;
mod fit;
mod growth;
mod ledger_n;
mod lives;
mod patterns;
pub mod race;
mod replicas;
pub mod simulate;

pub use ask::{Question, forecast};
pub use lives::Lives;

use crate::family::Rung;
use serde::{Deserialize, Serialize};

/// Version of the JSON form. Fields are added, never removed or renamed.
pub const SCHEMA_VERSION: u32 = 1;

/// An estimate with the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// The estimate itself.
    pub estimate: f64,
    /// Upper end.
    pub high: f64,
}

/// What the age of a worker is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgeUnit {
    /// Requests that the worker served.
    #[default]
    Requests,
    /// Seconds since its fork.
    Seconds,
    /// Steps of a workload.
    Steps,
}

/// What a family of workers will hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of forkprint.
    pub forkprint_version: String,
    /// The command line that repeats it.
    pub command: String,
    /// Name of what was measured.
    pub title: String,
    /// What the fit rests on.
    pub fitted: Fitted,
    /// Erosion by class of page; the first, named `all`, holds every page.
    pub classes: Vec<ClassCurve>,
    /// Pages that a worker makes for itself, by age.
    pub fresh: Growth,
    /// The age that the answers below are for, in [`Fitted::age_unit`].
    pub age: f64,
    /// Whole families, by number of workers.
    pub families: Vec<FamilySize>,
    /// How many workers a limit of memory holds.
    pub budget: Option<Budget>,
    /// What recycling workers would do, by the age at which they are replaced.
    pub recycling: Vec<Recycling>,
    /// The age at which replacing workers pays best; nothing where never is best.
    pub best_max_requests: Option<u64>,
    /// From how many workers on a way to start them pays.
    pub break_even: Vec<BreakEven>,
    /// What the reader must know: extrapolation, assumptions, weak evidence.
    pub notes: Vec<String>,
}

/// What a fit rests on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Fitted {
    /// Captures.
    pub captures: u32,
    /// Workers in them.
    pub workers: u32,
    /// Snapshots of each worker, without the one at the fork.
    pub snapshots: u32,
    /// What ages are counted in.
    pub age_unit: AgeUnit,
    /// Age of the oldest worker at the last snapshot used.
    pub last_age: f64,
    /// Private pages of the zygote at the fork.
    pub inherited_pages: u64,
    /// Bytes in a page.
    pub page_size: u64,
    /// Page tables of one worker, in bytes.
    pub page_table_bytes: u64,
    /// Evidence of the captures.
    pub rung: Option<Rung>,
}

/// Erosion of one class of pages: which part is broken, by the age of a worker.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassCurve {
    /// Region or `all`.
    pub name: String,
    /// Inherited pages of the class in one worker.
    pub pages: u64,
    /// Kaplan–Meier estimate at the ages observed, with worker-level bootstrap intervals.
    pub observed: Vec<CurvePoint>,
    /// The fitted mixture, over observed ages and beyond.
    pub fitted: Vec<CurvePoint>,
    /// Components of the mixture.
    pub rates: Vec<Rate>,
    /// Pages broken in the end.
    pub plateau: Interval,
    /// Age at which half of the plateau is broken; nothing where it is reached at once or never.
    pub half_life: Option<Interval>,
}

/// Part of the pages broken at an age, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Age, in [`Fitted::age_unit`].
    pub age: f64,
    /// Part broken.
    pub broken: Interval,
}

/// Pages that are written with one rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rate {
    /// Part of the class's pages, from 0 to 1.
    pub weight: f64,
    /// First writes of such a page per unit of age; infinite for those broken at once, zero for those never.
    pub rate: Option<f64>,
}

/// Growth of what a worker makes for itself, in pages.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Growth {
    /// Means observed.
    pub observed: Vec<GrowthPoint>,
    /// The fitted curve.
    pub fitted: Vec<GrowthPoint>,
}

/// Pages at an age.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GrowthPoint {
    /// Age, in [`Fitted::age_unit`].
    pub age: f64,
    /// Pages of one worker.
    pub pages: Interval,
}

/// A family of one size at the age asked for, in bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FamilySize {
    /// Workers.
    pub workers: u32,
    /// Distinct frames of zygote and workers.
    pub distinct: Interval,
    /// Page tables of all of them.
    pub page_tables: f64,
    /// The same family if nothing were shared.
    pub unshared: f64,
    /// `unshared - distinct`.
    pub saving: Interval,
}

/// How many workers fit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// The limit, in bytes.
    pub limit_bytes: u64,
    /// Where it comes from, in words.
    pub source: String,
    /// Workers that fit by the upper end of the interval, by the estimate, and by the lower end.
    pub workers: [u64; 3],
}

/// Workers that are replaced at an age, staggered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recycling {
    /// Age at which a worker is replaced.
    pub age: f64,
    /// Mean bytes of the family, at the largest number of workers asked for.
    pub distinct: Interval,
    /// Part of the saving against never that this gets, from 0 to 1.
    pub gain: f64,
}

/// A way to start workers, and from how many on it pays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BreakEven {
    /// `preload` or `refork`.
    pub what: String,
    /// Least number of workers; nothing where it never pays.
    pub workers: Option<u32>,
    /// The numbers it follows from.
    pub because: String,
}
