//! What a break costs a worker, on each rung, as a ratio to the same worker with nothing watching.

use crate::bounds::{Bounds, Cost, Round};
use crate::target::{PAGES, Rung, Target, Told};
use forkprint::kernel::agent::Agent;

const ROUNDS: usize = 15;
/// Most that a worker may be slowed down whose pages are broken.
const STEADY: f64 = 1.02;

/// A way to run a worker, and how much slower it may break its pages.
struct Way {
    name: &'static str,
    rung: Rung,
    bound: f64,
}

const RUNG_C: Way = Way { name: "rung C", rung: Rung::C, bound: 1.05 };
const RUNG_B: Way = Way { name: "rung B", rung: Rung::B, bound: 1.35 };
const RUNG_A: Way = Way { name: "rung A", rung: Rung::A, bound: 2.2 };

/// Native code: nothing but breaks.
pub fn native(bounds: &mut Bounds) {
    println!("\na worker that breaks {PAGES} pages, native code");
    compare(Target::native, &[RUNG_C, RUNG_B, RUNG_A], bounds);
}

/// Python, ten calls deep: the handler walks the frames of every break.
pub fn python(bounds: &mut Bounds) {
    let python = crate::interpreter();
    for (kind, what) in [("write", "one byte into each page of a bytearray"), ("names", "for name in names")]
    {
        println!("\na worker that breaks {PAGES} pages, Python: {what}");
        compare(
            |agent| Target::python(&python, include_str!("worker.py"), &[kind], agent),
            &[RUNG_B, RUNG_A],
            bounds,
        );
    }
}

/// Workers of all ways in turn, after one of each to warm up.
fn compare(start: impl Fn(Option<Agent>) -> Target, ways: &[Way], bounds: &mut Bounds) {
    let rungs: Vec<Rung> = [Rung::Untraced].into_iter().chain(ways.iter().map(|way| way.rung)).collect();
    let mut rounds: Vec<Vec<Told>> = Vec::new();
    for round in 0..=ROUNDS {
        // Who comes behind whom changes: the memory that one gives back, the next one gets.
        let mut order: Vec<usize> = (0..rungs.len()).collect();
        order.rotate_left(round / 2 % rungs.len());
        if round % 2 == 1 {
            order.reverse();
        }
        // New targets, as how fast one runs depends on where its memory happens to lie.
        let (mut plain, mut traced) = (start(None), start(Some(Agent::prepare().expect("an agent"))));
        let mut run = |rung| if rung == Rung::A { traced.worker(rung) } else { plain.worker(rung) };
        let mut told: Vec<(usize, Told)> =
            order.into_iter().map(|index| (index, run(rungs[index]))).collect();
        told.sort_by_key(|(index, _)| *index);
        rounds.push(told.into_iter().map(|(_, told)| told).collect());
    }
    for (index, way) in (1..).zip(ways) {
        let of = |side: fn(&Told) -> Cost| -> Vec<Round> {
            rounds[1..].iter().map(|told| (side(&told[index]), side(&told[0]))).collect()
        };
        bounds.busy_at_most(&format!("{}, breaking / untraced", way.name), way.bound, &of(|told| told.first));
        bounds.busy_at_most(&format!("{}, once broken / untraced", way.name), STEADY, &of(|told| told.again));
    }
}
