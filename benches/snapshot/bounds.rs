//! Ratios of two works that run in turn, and the bounds they are held to.

use nix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What one work took.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Seconds that passed.
    pub wall: f64,
    /// Seconds of all processors in this work: tells how busy the machine was with others.
    pub cpu: f64,
}

/// Two works that ran one after the other.
pub type Round = (Cost, Cost);

/// What was promised and what was measured.
#[derive(Default)]
pub struct Bounds {
    missed: Vec<String>,
}

impl Bounds {
    /// Holds the median ratio of rounds to a bound.
    pub fn at_most(&mut self, name: &str, bound: f64, rounds: &[Round]) {
        let (ratio, detail) = ratio(rounds);
        self.judge(name, bound, ratio, &detail);
    }

    /// Holds the median ratio of processor times to a bound: for works of which each is one thread, on
    /// a machine that others use too.
    #[allow(dead_code, reason = "for the bench `trace`")]
    pub fn busy_at_most(&mut self, name: &str, bound: f64, rounds: &[Round]) {
        let swap = |cost: Cost| Cost { wall: cost.cpu, cpu: cost.wall };
        let swapped: Vec<Round> = rounds.iter().map(|&(a, b)| (swap(a), swap(b))).collect();
        let (ratio, detail) = ratio(&swapped);
        self.judge(name, bound, ratio, &detail.replace("of processor time", "of what passed"));
    }

    /// Tells the median ratio of rounds to which no bound was promised.
    pub fn tell(&self, name: &str, rounds: &[Round]) {
        let (ratio, detail) = ratio(rounds);
        println!("  {:<7}  {name}: {ratio:.2} {detail}", "");
    }

    /// Holds a figure to a bound.
    pub fn figure_at_most(&mut self, name: &str, bound: f64, figure: f64) {
        self.judge(name, bound, figure, "");
    }

    /// Holds a figure to a bound from below.
    #[allow(dead_code, reason = "for the bench `toy`")]
    pub fn figure_at_least(&mut self, name: &str, bound: f64, figure: f64) {
        self.tell_verdict(name, figure >= bound, &format!("{figure:.2}, at least {bound:.2}"));
    }

    fn judge(&mut self, name: &str, bound: f64, figure: f64, detail: &str) {
        self.tell_verdict(name, figure <= bound, &format!("{figure:.2}, at most {bound:.2} {detail}"));
    }

    fn tell_verdict(&mut self, name: &str, is_kept: bool, detail: &str) {
        println!("  {:<7}  {name}: {detail}", if is_kept { "pass" } else { "MISSED" });
        if !is_kept {
            self.missed.push(name.into());
        }
    }

    /// Tells what was missed.
    pub fn finish(self) {
        match self.missed.as_slice() {
            [] => println!("\nevery bound is kept"),
            missed => println!("\nmissed: {}", missed.join("; ")),
        }
    }
}

/// Runs two works in turn, after once each to warm up.
pub fn alternate<A, B>(rounds: usize, a: &dyn Fn() -> A, b: &dyn Fn() -> B) -> Vec<Round> {
    (0..=rounds).map(|_| (measure(a), measure(b))).skip(1).collect()
}

/// The cost of one work; dropping what it made is part of it.
pub fn measure<T>(work: &dyn Fn() -> T) -> Cost {
    let (start, busy) = (Instant::now(), cpu_time());
    drop(black_box(work()));
    Cost { wall: start.elapsed().as_secs_f64(), cpu: (cpu_time() - busy).as_secs_f64() }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock").into()
}

/// The middle one.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// GiB a second.
pub fn rate(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / f64::from(1 << 30) / seconds
}

/// The median ratio of what passed, with its spread, the times, and the ratio of processor time.
fn ratio(rounds: &[Round]) -> (f64, String) {
    let ratios = |side: fn(&Cost) -> f64| rounds.iter().map(move |(a, b)| side(a) / side(b));
    let wall = |side: fn(&Round) -> Cost| median(rounds.iter().map(|round| side(round).wall)) * 1e3;
    let spread = |(low, high): (f64, f64), ratio| (low.min(ratio), high.max(ratio));
    let (low, high) = ratios(|cost| cost.wall).fold((f64::MAX, 0.0), spread);
    let detail = format!(
        "({low:.2} to {high:.2}; {:.1} ms / {:.1} ms; of processor time {:.2})",
        wall(|round| round.0),
        wall(|round| round.1),
        median(ratios(|cost| cost.cpu)),
    );
    (median(ratios(|cost| cost.wall)), detail)
}
