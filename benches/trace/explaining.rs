//! What it takes to explain 100,000 breaks with their frames and owners.

use crate::bounds::{Bounds, median};
use crate::heap;
use forkprint::cpython::offsets::Offsets;
use forkprint::family::Witness;
use forkprint::family::breaks::{Breaks, Flags, NONE};
use forkprint::kernel::agent::Agent;
use forkprint::record::run::about_this_machine;
use forkprint::record::{Baseline, MeasureOptions, Measurement, Recording, Trace};
use forkprint::runtimes::Workload;
use forkprint::supervisor::Family;
use forkprint::supervisor::protocol::ranges;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tracing::span::Id;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

const BREAKS: usize = 100_000;
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);

/// What one explanation took.
struct Taken {
    seconds: f64,
    /// Most bytes in use for breaks, while they were harvested, and from then on.
    harvesting: usize,
    explaining: usize,
    breaks: usize,
}

/// Families one after the other; the median of each figure counts.
pub fn explain(bounds: &mut Bounds) {
    println!("\nexplaining the breaks of one worker, with frames and owners");
    let taken: Vec<Taken> = (0..ROUNDS).map(|_| one_family()).collect();
    let of = |figure: fn(&Taken) -> f64| median(taken.iter().map(figure));
    bounds.figure_at_most("seconds for 100,000 breaks", 2.0, of(|taken| taken.seconds * per(taken, BREAKS)));
    bounds.figure_at_most(
        "bytes a break, while they are harvested",
        400.0,
        of(|taken| taken.harvesting as f64 * per(taken, 1)),
    );
    bounds.figure_at_most(
        "bytes a break, while they are explained",
        400.0,
        of(|taken| taken.explaining as f64 * per(taken, 1)),
    );
}

fn per(taken: &Taken, breaks: usize) -> f64 {
    breaks as f64 / taken.breaks as f64
}

/// One family from its start to its recording.
fn one_family() -> Taken {
    let workload = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/trace/shelves.py");
    let command = [env!("CARGO_BIN_EXE_forkprint").into()];
    let mut agent = Agent::prepare().expect("an agent");
    let watching = Some((&agent, Witness::Sigtrap));
    let (mut family, loaded) =
        Family::start(&command, &Workload::new(workload), 1, PATIENCE, true, watching).expect("loaded");
    agent.started();
    let frozen = family.freeze(false).expect("a sibling");
    let version = loaded.python.expect("a Python");
    let baseline = Baseline {
        zygote_pid: family.zygote_pid(),
        reference_pid: Some(frozen.pid),
        regions: frozen.regions.clone(),
        instrument: ranges(&frozen.instrument),
        python: Some(version),
        ..Baseline::default()
    };
    let mut trace = Trace::agent(agent);
    trace.read_python_with(Offsets::of_version(version).expect("a version that is known"));
    let options = MeasureOptions { code_in_worker: true, ..MeasureOptions::default() };
    let mut measurement =
        Measurement::begin(about_this_machine(), baseline, &options, trace).expect("measured");
    measurement.add_still_worker(family.fork().expect("a worker")).expect("read");
    measurement.snapshot("fork", None).expect("measured");

    family.run_step(0, "read_all").expect("read");
    let before = heap::live();
    let at_harvest = BehindTheCrossCheck::default();
    let subscriber = Registry::default().with(at_harvest.clone());
    let snapshot = || measurement.snapshot("read_all", None).expect("measured");
    tracing::subscriber::with_default(subscriber, snapshot);
    let harvesting = heap::peak() - at_harvest.0.load(Ordering::Relaxed);

    heap::forget_peak();
    let start = Instant::now();
    let recording = measurement.finish(true);
    let seconds = start.elapsed().as_secs_f64();
    let explaining = heap::peak() - before;
    family.stop();
    check(&recording);
    Taken { seconds, harvesting, explaining, breaks: recording.breaks.rows.len() }
}

/// Notes the bytes in use when a snapshot has everything but the breaks: behind its last span it
/// harvests them.
#[derive(Clone, Default)]
struct BehindTheCrossCheck(Arc<AtomicUsize>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for BehindTheCrossCheck {
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if context.span(&id).is_some_and(|span| span.name() == "cross_check") {
            heap::forget_peak();
            self.0.store(heap::peak(), Ordering::Relaxed);
        }
    }
}

/// The work was done: the rows are there, and say who, where and whose.
fn check(recording: &Recording) {
    let Breaks { rows, .. } = &recording.breaks;
    assert!(rows.len() >= BREAKS, "{} pages broke", rows.len());
    let explained = rows
        .iter()
        .filter(|row| row.flags.has(Flags::SEEN) && row.frame != NONE && row.owner != NONE && row.ty != NONE)
        .count();
    assert!(explained * 100 >= rows.len() * 99, "{explained} of {} breaks have it all", rows.len());
    assert_eq!(recording.reconciliation.lost_samples, 0);
}
