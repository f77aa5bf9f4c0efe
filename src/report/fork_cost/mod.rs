//! What a fork costs here, by the size of the process that makes it: medians, spread and a straight line.

mod fit;
pub mod html;
pub mod text;

pub use fit::Line;

use crate::kernel::fork_cost::{Samples, Spec};
use crate::units::{Bytes, PAGE_SIZE};
use serde::Serialize;

const SCHEMA_VERSION: u32 = 1;

/// Times of one call, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Half of the rounds took less.
    pub median: u64,
    /// A quarter of the rounds took less.
    pub low: u64,
    /// A quarter of the rounds took more.
    pub high: u64,
}

impl Spread {
    fn of(samples: &[u64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |quarter: usize| {
            sorted.get((sorted.len() * quarter / 4).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
        };
        Self { median: at(2), low: at(1), high: at(3) }
    }
}

/// Every call in a process of one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Bytes of memory filled.
    pub bytes: u64,
    /// Whether huge pages were asked for.
    pub huge: bool,
    /// Bytes of it that huge pages really hold.
    pub huge_bytes: u64,
    /// Bytes of the page tables of a forked child.
    pub page_table_bytes: u64,
    /// `fork`, until it returns in the parent.
    pub fork_call: Spread,
    /// `fork` and an immediate exit, until the child is reaped.
    pub fork_exit: Spread,
    /// `fork` and `execve`, until the program is reaped.
    pub fork_exec: Spread,
    /// `vfork` and `execve`.
    pub vfork_exec: Spread,
    /// `clone(CLONE_VM | CLONE_VFORK)` and `execve`.
    pub clone_exec: Spread,
    /// `posix_spawn`.
    pub posix_spawn: Spread,
    /// A write to a shared page.
    pub copy_fault: Spread,
}

impl Point {
    /// Sums up what one process measured.
    pub fn of(spec: &Spec, samples: &Samples) -> Self {
        Self {
            bytes: spec.bytes,
            huge: spec.huge,
            huge_bytes: samples.huge_bytes,
            page_table_bytes: samples.page_table_bytes,
            fork_call: Spread::of(&samples.fork_call),
            fork_exit: Spread::of(&samples.fork_exit),
            fork_exec: Spread::of(&samples.fork_exec),
            vfork_exec: Spread::of(&samples.vfork_exec),
            clone_exec: Spread::of(&samples.clone_exec),
            posix_spawn: Spread::of(&samples.posix_spawn),
            copy_fault: Spread::of(&samples.copy_fault),
        }
    }
}

/// All sizes, with 4 KiB pages and with huge ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForkCost {
    schema_version: u32,
    /// The command line that repeats the measurement.
    pub command: String,
    /// Architecture, processors and memory.
    pub machine: String,
    /// `uname -sr`.
    pub kernel: String,
    /// Times that every call was made in every process.
    pub rounds: u32,
    /// The program that the calls started.
    pub program: String,
    /// By size; 4 KiB pages before huge ones.
    pub points: Vec<Point>,
    /// Nanoseconds of `fork` by 4 KiB page.
    pub small_pages: Option<Line>,
    /// The same where huge pages were asked for.
    pub huge_pages: Option<Line>,
    /// What follows, in sentences.
    pub advice: Vec<String>,
}

impl ForkCost {
    /// Fits the lines and draws the conclusion.
    pub fn new(about: [String; 3], rounds: u32, program: String, points: Vec<Point>) -> Self {
        let [command, machine, kernel] = about;
        let small_pages = line(&points, false);
        let huge_pages = line(&points, true);
        let advice = advice(&points, small_pages.as_ref());
        let schema_version = SCHEMA_VERSION;
        Self {
            schema_version,
            command,
            machine,
            kernel,
            rounds,
            program,
            points,
            small_pages,
            huge_pages,
            advice,
        }
    }

    /// Points with 4 KiB pages, or with huge ones.
    pub fn with_pages(&self, huge: bool) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.huge == huge)
    }

    /// The stable JSON output.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).map(|json| json + "\n").unwrap_or_default()
    }
}

fn line(points: &[Point], huge: bool) -> Option<Line> {
    let of = |point: &Point| (as_number(point.bytes / PAGE_SIZE), as_number(point.fork_call.median));
    let values: Vec<(f64, f64)> = points.iter().filter(|point| point.huge == huge).map(of).collect();
    Line::through(&values)
}

/// `posix_spawn` is worth it where it takes at most half the time.
const WORTH: u64 = 2;

fn advice(points: &[Point], line: Option<&Line>) -> Vec<String> {
    let mut sentences = Vec::new();
    let small: Vec<&Point> = points.iter().filter(|point| !point.huge).collect();
    let gains = |point: &Point| point.fork_exec.median >= WORTH * point.posix_spawn.median;
    // From this size on it holds at every larger one.
    let from = small.iter().rposition(|point| !gains(point)).map_or(0, |last| last + 1);
    if let Some(last) = small.last() {
        let ratio = as_number(last.fork_exec.median) / as_number(last.posix_spawn.median.max(1));
        let size = Bytes(last.bytes);
        sentences.push(match small.get(from) {
            Some(first) => format!(
                "To start another program, posix_spawn is the right tool from {} on: it takes at most half the time of fork and exec there; at {size}, fork and exec takes {ratio:.1} times as long.",
                Bytes(first.bytes)
            ),
            None => format!(
                "Up to {size}, posix_spawn takes no less than half the time of fork and exec ({ratio:.1} times at {size})."
            ),
        });
    }
    if let Some(line) = line {
        sentences.push(format!(
            "Each 4 KiB page that the process holds adds {:.1} ns to a fork: {:.2} ms a GiB.",
            line.slope,
            line.slope * as_number((1 << 30) / PAGE_SIZE) / 1e6
        ));
    }
    sentences
}

#[expect(clippy::cast_precision_loss, reason = "times and pages stay below 2^52")]
fn as_number(value: u64) -> f64 {
    value as f64
}

/// Nanoseconds for people.
fn time(nanoseconds: u64) -> String {
    let value = as_number(nanoseconds);
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} µs", value / 1e3),
        _ => format!("{:.2} ms", value / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(pages: u64, fork: u64, spawn: u64) -> Point {
        let samples = Samples {
            fork_call: vec![fork],
            fork_exec: vec![fork],
            posix_spawn: vec![spawn],
            ..Samples::default()
        };
        Point::of(
            &Spec { bytes: pages * PAGE_SIZE, huge: false, rounds: 1, program: String::new() },
            &samples,
        )
    }

    #[test]
    fn the_line_and_the_advice_follow_the_points() {
        let points = [256, 512, 1024, 2048].map(|pages| point(pages, 1000 + 10 * pages, 6000)).to_vec();
        let cost = ForkCost::new([const { String::new() }; 3], 1, String::new(), points);
        let line = cost.small_pages.unwrap();
        assert!((line.slope - 10.0).abs() < 1e-6 && (line.intercept - 1000.0).abs() < 1e-3, "{line:?}");
        assert!(
            cost.advice[0].contains("from 8.0 MiB on") && cost.advice[0].contains("3.6 times"),
            "{:?}",
            cost.advice
        );
        assert!(cost.huge_pages.is_none());
        let quick = vec![point(256, 100, 100)];
        let cost = ForkCost::new([const { String::new() }; 3], 1, String::new(), quick);
        assert!(cost.advice[0].starts_with("Up to 1.0 MiB"), "{:?}", cost.advice);
    }

    #[test]
    fn the_spread_is_that_of_quarters() {
        let spread = Spread::of(&[5, 1, 4, 2, 3]);
        assert_eq!((spread.low, spread.median, spread.high), (2, 3, 4));
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
