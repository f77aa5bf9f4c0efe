//! What a snapshot of a large family costs, as ratios to what the kernel alone takes.
//!
//! A zygote with 1 GiB of touched memory in 4 KiB pages and eight workers, real processes all. Each
//! bound is printed with the ratio measured; the two sides of a ratio run in turn, and the median of
//! the ratios counts. No absolute time is judged.

mod bounds;
mod family;
mod phases;
mod psutil;

use bounds::{Bounds, Cost, Round, alternate, measure, median, rate};
use family::BenchFamily;
use forkprint::family::recording::PageCell;
use forkprint::family::{Diff, Evidence, Inherited, PageEntry, Process, diff};
use forkprint::observe::{ProcRoot, contents, read_process, read_processes};
use forkprint::record::{Baseline, MeasureOptions, Measurement, Trace};
use forkprint::units::{PAGE_SIZE, Vpn};
use std::hint::black_box;

const ROUNDS: usize = 11;

fn main() {
    if std::env::args().nth(1).as_deref() == Some(family::ZYGOTE) {
        return family::be_zygote();
    }
    let mut bounds = Bounds::default();
    let mut family = BenchFamily::start();
    let baseline =
        Baseline { zygote_pid: family.zygote, reference_pid: Some(family.reference), ..Baseline::default() };
    let options = MeasureOptions::default();
    let mut measurement =
        Measurement::begin(forkprint::record::run::about_this_machine(), baseline, &options, Trace::none())
            .expect("measured");
    let fork = read_process(&ProcRoot::system(), family.zygote).expect("read");
    for worker in family.fork_workers() {
        measurement.add_worker(worker);
    }
    family.break_scattered();

    reading(&family, &mut bounds);
    verdicts(&family, &fork, &mut bounds);
    phases::shares(&mut measurement);
    drop(measurement);
    ghosts(&family, &mut bounds);
    bounds.finish();
}

/// Page tables of the zygote and its workers, against bare reads, `smaps_rollup` and psutil.
fn reading(family: &BenchFamily, bounds: &mut Bounds) {
    let (root, pids) = (ProcRoot::system(), family.measured());
    let snapshot = || read_processes(&root, &pids).into_iter().collect::<Result<Vec<_>, _>>().expect("read");
    let bare = family::BareReads::of(&snapshot());
    println!("\nsnapshot of {} processes, {} MiB of page map entries", pids.len(), bare.bytes() >> 20);

    let one_thread = || pids.iter().map(|&pid| read_process(&root, pid).expect("read")).collect::<Vec<_>>();
    bounds.at_most(
        "one thread / bare preads, one thread",
        1.5,
        &alternate(ROUNDS, &one_thread, &|| bare.read(1)),
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pids.len());
    bounds.at_most(
        "snapshot / bare preads, as many threads",
        1.5,
        &alternate(ROUNDS, &snapshot, &|| bare.read(threads)),
    );
    bounds.at_most(
        "snapshot / bare preads, one thread",
        1.5,
        &alternate(ROUNDS, &snapshot, &|| bare.read(1)),
    );

    let rollup = || family::read_rollups(&pids);
    bounds.at_most("snapshot / bare smaps_rollup reads", 1.0, &alternate(ROUNDS, &snapshot, &rollup));
    bounds.tell("one thread / bare smaps_rollup reads", &alternate(ROUNDS, &one_thread, &rollup));
    match psutil::Psutil::start(&pids) {
        Ok(mut psutil) => {
            let rounds: Vec<_> =
                (0..ROUNDS).map(|_| (measure(&snapshot), psutil.memory_full_info())).collect();
            bounds.at_most(&format!("snapshot / psutil {} memory_full_info", psutil.version), 1.0, &rounds);
        }
        Err(why) => println!("  skipped  psutil: {why}"),
    }
}

/// The verdicts on all workers against the snapshot they rest on, and the memory both take.
fn verdicts(family: &BenchFamily, fork: &Process, bounds: &mut Bounds) {
    let root = ProcRoot::system();
    let inherited = Inherited::new(fork, &[], |_| false);
    let pids = family.measured();
    let snapshot = || read_processes(&root, &pids).into_iter().collect::<Result<Vec<_>, _>>().expect("read");
    let processes = snapshot();
    let reference = read_process(&root, family.reference).expect("read");
    let (zygote, workers) = processes.split_first().expect("a zygote");
    let evidence = Evidence::Frames { reference: &reference.pages };
    let judge =
        || workers.iter().map(|worker| diff(&inherited, zygote, worker, &evidence)).collect::<Vec<Diff>>();
    println!("\nverdicts on {} workers, {} inherited pages each", workers.len(), inherited.len());
    bounds.at_most("diffs, one thread / snapshot", 1.0, &alternate(ROUNDS, &judge, &snapshot));

    let diffs = judge();
    let broken: u64 = diffs.iter().map(|diff| diff.count(forkprint::family::PageState::broken)).sum();
    assert!(
        broken >= family.broken_pages(),
        "the workers broke {} pages, {broken} were seen",
        family.broken_pages()
    );
    let tables: usize = processes.iter().map(|process| process.pages.heap_bytes()).sum();
    let states: usize = diffs.iter().map(|diff| diff.states.capacity()).sum();
    let pages = (inherited.len() * processes.len()) as f64;
    bounds.figure_at_most(
        "bytes a page and process, table and states",
        16.0,
        (tables + states) as f64 / pages,
    );
    let cells = size_of::<PageCell>() * inherited.len() * workers.len();
    bounds.figure_at_most(
        "bytes a page and process, with the log",
        16.0,
        (tables + states + cells) as f64 / pages,
    );
}

/// Bytes of broken pages against their fork-time bytes, beside a comparison of local memory.
fn ghosts(family: &BenchFamily, bounds: &mut Bounds) {
    const COMPARED: u64 = (256 << 20) / PAGE_SIZE;
    let worker = family.workers[0];
    let together: Vec<Vpn> = family.pages().take(COMPARED as usize).collect();
    family.break_pages(worker, &together);
    let scattered: Vec<Vpn> = family.scattered_pages().collect();
    let place = |pid| read_process(&ProcRoot::system(), pid).expect("read").pages.entries;
    let frames = |entries: &[PageEntry]| entries.iter().map(|entry| entry.place()).collect::<Vec<_>>();
    let before = frames(&place(family.reference));

    println!("\nghost comparison of {} MiB", (COMPARED * PAGE_SIZE) >> 20);
    let local = vec![7_u8; (COMPARED * PAGE_SIZE) as usize];
    let other = vec![7_u8; (COMPARED * PAGE_SIZE) as usize];
    let memcmp = || black_box(&local) == black_box(&other);
    for (name, pages) in [("in one stretch", &together), ("one page in ten", &scattered)] {
        let compare =
            || contents::compare(pages, family.reference, worker, contents::Mapped::Alone).expect("compared");
        let counts = compare();
        let ghosts = counts.iter().filter(|&&count| count == Some(0)).count();
        assert!(counts.iter().all(Option::is_some) && ghosts > 0 && ghosts < counts.len());
        let bytes = pages.len() as u64 * PAGE_SIZE;
        let rounds = alternate(ROUNDS, &compare, &memcmp);
        let wall = |side: fn(&Round) -> Cost| median(rounds.iter().map(|round| side(round).wall));
        let (ours, local) =
            (rate(bytes, wall(|round| round.0)), rate(COMPARED * PAGE_SIZE, wall(|round| round.1)));
        let cpu = rate(bytes, median(rounds.iter().map(|round| round.0.cpu)));
        println!(
            "  {name}: {} MiB at {ours:.2} GiB/s ({cpu:.2} a processor); memcmp of local memory {local:.2} GiB/s; ratio of the rates {:.2}",
            bytes >> 20,
            ours / local,
        );
    }
    let moved = frames(&place(family.reference))
        .iter()
        .zip(&before)
        .filter(|(after, before)| after != before)
        .count();
    bounds.figure_at_most("fork-time pages un-shared by comparing", 0.0, moved as f64);
}
