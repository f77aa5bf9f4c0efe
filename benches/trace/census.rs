//! What a census of four million objects takes.

use crate::bounds::{Bounds, median};
use crate::target::Target;
use forkprint::cpython::census::{Census, Counts};
use forkprint::kernel::agent::{Agent, Report};

const OBJECTS: f64 = 4e6;
const ROUNDS: usize = 5;

/// One census: seconds, of them of a processor, and bytes that the process which took it was larger
/// than one that only was forked.
struct Taken {
    wall: f64,
    busy: f64,
    bytes: f64,
    counts: Counts,
}

/// Censuses of one interpreter; the median of each figure counts.
pub fn take(bounds: &mut Bounds) {
    let python = crate::interpreter();
    let agent = Agent::prepare().expect("an agent");
    let mut target = Target::python(&python, include_str!("census.py"), &[], Some(agent));
    let taken: Vec<Taken> = (0..ROUNDS).map(|_| one(&mut target)).collect();
    let counts = taken[0].counts;
    println!(
        "\ncensus of {} objects and buffers, {} of them unreachable",
        counts.objects, counts.unreachable
    );
    assert!(counts.objects as f64 >= OBJECTS && counts.dropped == 0);
    let each = 1.0 / counts.objects as f64;
    let of = |figure: fn(&Taken) -> f64| median(taken.iter().map(figure));
    let scaled = of(|taken| taken.busy) * OBJECTS * each;
    bounds.figure_at_most("seconds of a processor for four million", 3.0, scaled);
    println!("           ({:.2} s passed)", of(|taken| taken.wall) * OBJECTS * each);
    bounds.figure_at_most("bytes an object, while it is taken", 40.0, of(|taken| taken.bytes) * each);
}

fn one(target: &mut Target) -> Taken {
    let told = target.ask("census");
    let census = target.reports().into_iter().find_map(|report| match report {
        Report::Census { memory, .. } => Some(Census::read(memory).expect("a whole census")),
        _ => None,
    });
    let counts = census.expect("a census").counts();
    Taken { wall: told[0], busy: told[1], bytes: told[2], counts }
}
