//! Page faults told by the kernel's rings, against pages that a program is known to have written, and
//! against the kernel's own counters.

#[path = "../oracle/ordinary_user.rs"]
mod ordinary_user;
#[path = "../common/skip.rs"]
mod skip;
mod target;

use forkprint::family::Witness;
use forkprint::kernel::Caps;
use forkprint::kernel::event::BreakEvent;
use forkprint::kernel::perf::{RingView, RingWitness, pidfd_getfd, read_counter};
use std::collections::BTreeSet;
use std::ops::Range;
use target::{PAGE, Target, WORK, Work, Worker, byte_of};

/// A witness of the zygote; none only where the kernel forbids it.
fn witness(target: &Target) -> Option<RingWitness> {
    match RingWitness::attach(target.pid()) {
        Ok(witness) => Some(witness),
        Err(error) => {
            assert!(Caps::get().ring().is_err(), "{error}");
            skip::skip(error.to_string().replace("\n ", ";"));
            None
        }
    }
}

/// Has a worker do its work under the eyes of a witness, and checks that nothing was lost.
fn watch(work: Work) -> Option<(Target, RingWitness, Worker, Vec<BreakEvent>)> {
    let mut target = Target::start(work.pages);
    let witness = witness(&target)?;
    let worker = target.fork(work);
    target.work();
    target.end();
    let delivered = witness.delivered();
    assert_eq!(witness.counted().unwrap(), delivered, "rings of {} bytes", witness.ring_size());
    let events = witness.take();
    assert_eq!(events.len() as u64, delivered);
    assert!(events.is_sorted_by_key(|event| event.nanos));
    let of_worker = events.into_iter().filter(|event| event.pid == worker.pid);
    let on_pages = of_worker.filter(|event| in_pages(event, &target, work.pages)).collect();
    assert!(witness.take().is_empty());
    Some((target, witness, worker, on_pages))
}

fn in_pages(event: &BreakEvent, target: &Target, pages: usize) -> bool {
    (target.address as u64..(target.address + pages * PAGE) as u64).contains(&event.address)
}

fn assert_exact(events: &[BreakEvent], address: usize, pages: usize) {
    let expected: BTreeSet<u64> = (0..pages).map(|page| (address + byte_of(page)) as u64).collect();
    let seen: BTreeSet<u64> = events.iter().map(|event| event.address).collect();
    assert_eq!(events.len(), pages);
    assert!(seen == expected, "other bytes than those written");
}

/// The machine code of the program that the zygote runs.
fn code_of(pid: u32) -> Vec<Range<u64>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let ours = |line: &&str| line.contains(" r-xp ") && line.ends_with(program.to_str().unwrap());
    let code = maps.lines().filter(ours);
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    code.map(|line| line.split_whitespace().next().unwrap().split_once('-').unwrap())
        .map(|(start, end)| hex(start)..hex(end))
        .collect()
}

#[test]
fn a_worker_gives_one_event_for_each_page_it_writes() {
    let Some((target, _witness, worker, events)) = watch(WORK) else { return };
    assert_exact(&events, target.address, WORK.pages);
    let code = code_of(target.pid());
    for event in &events {
        assert!(code.iter().any(|range| range.contains(&event.instruction)), "{event:x?}");
        assert!(!event.by_kernel());
        assert_eq!(event.thread, worker.pid);
        assert_eq!((event.stack, event.old, event.registers), (None, None, None));
    }
}

#[test]
fn four_threads_lose_nothing() {
    let work = Work { threads: 4, ..WORK };
    let Some((target, _witness, worker, events)) = watch(work) else { return };
    assert_exact(&events, target.address, work.pages);
    let threads: BTreeSet<u32> = events.iter().map(|event| event.thread).collect();
    assert_eq!(threads.len(), 4);
    assert!(threads.contains(&worker.pid));
}

#[test]
fn grandchildren_are_seen_too() {
    let work = Work { generation: 2, ..WORK };
    let Some((target, _witness, _, events)) = watch(work) else { return };
    assert_exact(&events, target.address, work.pages);
}

/// Threads come and go while their events are opened.
#[test]
fn a_process_that_keeps_making_threads_is_watched_all_the_same() {
    let mut target = Target::start(WORK.pages);
    target.keep_making_threads();
    let Some(witness) = witness(&target) else { return };
    let worker = target.fork(WORK);
    target.work();
    target.end();
    let of_worker = witness.take().into_iter().filter(|event| event.pid == worker.pid);
    let on_pages: Vec<_> = of_worker.filter(|event| in_pages(event, &target, WORK.pages)).collect();
    assert_exact(&on_pages, target.address, WORK.pages);
}

/// Addresses of another program would be taken for those of the zygote's.
#[test]
fn a_worker_that_becomes_another_program_is_left_alone() {
    if let Err(why) = Caps::get().supports_witness(Witness::Sigtrap) {
        return skip::skip(format!("events that end with the program: {why}"));
    }
    let work = Work { then_exec: true, ..WORK };
    let Some((target, witness, worker, events)) = watch(work) else { return };
    assert_exact(&events, target.address, work.pages);
    let others = witness.counted().unwrap() - WORK.pages as u64;
    assert!(others < 1000, "{others} faults of {}, which ran another program", worker.pid);
}

#[test]
fn the_kernels_own_writes_are_seen_where_it_lets_us() {
    let work = Work { by_kernel: true, pages: 500, ..WORK };
    let Some((target, witness, _, events)) = watch(work) else { return };
    if witness.kernel_included() {
        assert_exact(&events, target.address, work.pages);
        assert!(events.iter().all(BreakEvent::by_kernel));
    } else {
        assert_eq!(events, []);
    }
}

#[test]
fn what_a_ring_had_no_room_for_is_known_from_the_counter() {
    let mut target = Target::start(WORK.pages);
    if witness(&target).is_none() {
        return;
    }
    let Ok(witness) = RingWitness::with_rings_of(target.pid(), 1) else { panic!("no ring of one page") };
    target.fork(WORK);
    target.work();
    target.end();
    let lost = witness.counted().unwrap() - witness.delivered();
    let seen = witness.take().iter().filter(|event| in_pages(event, &target, WORK.pages)).count();
    assert_eq!(witness.ring_size(), PAGE);
    assert!((WORK.pages - seen) as u64 <= lost, "{seen} seen and {lost} lost");
}

#[test]
fn the_rings_a_worker_opened_on_itself_are_read_from_outside() {
    let work = Work { own_rings: Some(64), ..WORK };
    let Some((mut target, worker, views)) = views(work) else { return };
    target.work();
    for _ in 0..2 {
        let events: Vec<BreakEvent> = views.iter().flat_map(RingView::pending).collect();
        let counted: u64 = views.iter().map(|view| read_counter(view).unwrap()).sum();
        assert_eq!(events.len() as u64, counted);
        let on_pages: Vec<_> =
            events.into_iter().filter(|event| in_pages(event, &target, work.pages)).collect();
        assert_exact(&on_pages, target.address, work.pages);
        assert!(on_pages.iter().all(|event| event.pid == worker.pid));
    }
    target.end();
}

#[test]
fn a_ring_that_nobody_empties_keeps_its_first_faults() {
    let work = Work { own_rings: Some(1), ..WORK };
    let Some((mut target, _, views)) = views(work) else { return };
    target.work();
    let kept: usize = views.iter().map(|view| view.pending().len()).sum();
    let counted: u64 = views.iter().map(|view| read_counter(view).unwrap()).sum();
    assert!(counted >= WORK.pages as u64);
    // A page has room for 102 samples of 40 bytes.
    assert!((100..=102 * views.len()).contains(&kept), "{kept} of {counted}");
    target.end();
}

/// The rings that a worker opened on itself; `None` where it may not.
fn views(work: Work) -> Option<(Target, Worker, Vec<RingView>)> {
    let mut target = Target::start(work.pages);
    witness(&target)?;
    let worker = target.fork(work);
    let view = |&fd: &i32| RingView::map(pidfd_getfd(worker.pid, fd).unwrap(), work.own_rings.unwrap());
    let views = worker.rings.iter().map(|fd| view(fd).unwrap()).collect();
    Some((target, worker, views))
}

#[test]
fn a_process_that_is_gone_is_an_error_that_names_it() {
    let error = RingWitness::attach(u32::MAX >> 1).unwrap_err().to_string();
    assert!(error.contains("2147483647"), "{error}");
}

/// Their faults of the kernel are hidden and their rings are small; all else must be the same.
#[test]
fn ordinary_users_see_the_same() {
    if nix::unistd::geteuid().is_root() {
        ordinary_user::run_all_tests_but("ordinary_users_see_the_same");
    } else {
        skip::skip("this is an ordinary user; the other tests are the same");
    }
}
