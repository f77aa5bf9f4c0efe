use super::*;
use crate::family::page::tests::{anon, exclusive, file, swap};
use crate::family::table::Run;
use crate::family::vma::{Vma, VmaFlags};
use proptest::prelude::*;

/// A process whose pages stand at consecutive addresses from page 16 on.
fn process(entries: Vec<PageEntry>) -> Process {
    let len = entries.len();
    let vma = Vma {
        start: Vpn(16),
        end: Vpn(16 + len as u64),
        flags: VmaFlags { read: true, write: true, execute: false, private: true },
        offset: 0,
        inode: 0,
        name: String::new(),
    };
    let runs = vec![Run { first: Vpn(16), len, offset: 0, vma: 0 }];
    Process { vmas: vec![vma], pages: PageTable { runs, entries }, image: [1, 2, 3], ..Process::default() }
}

fn by_frames(fork: Vec<PageEntry>, zygote: Vec<PageEntry>, worker: Vec<PageEntry>) -> Diff {
    let fork = process(fork);
    let inherited = Inherited::new(&fork, &[], |_| false);
    diff(&inherited, &process(zygote), &process(worker), &Evidence::Frames { reference: &fork.pages })
}

#[test]
fn frames_tell_who_wrote() {
    let fork = vec![anon(1), anon(2), anon(3), anon(4), anon(5)];
    let zygote = vec![anon(1), anon(2), anon(30), anon(40), anon(5)];
    let worker = vec![anon(1), anon(20), anon(3), anon(41), PageEntry(0)];
    assert_eq!(by_frames(fork, zygote, worker).states, PageState::ALL);
}

#[test]
fn a_frame_that_moved_in_both_is_still_shared() {
    let diff = by_frames(vec![anon(1)], vec![anon(9)], vec![anon(9)]);
    assert_eq!(diff.states, [PageState::Shared]);
}

#[test]
fn a_swap_slot_in_both_is_still_shared() {
    let diff = by_frames(vec![anon(1)], vec![swap(5)], vec![swap(5)]);
    assert_eq!(diff.states, [PageState::Shared]);
}

#[test]
fn a_file_mapped_over_an_inherited_page_is_gone() {
    assert_eq!(by_frames(vec![anon(1)], vec![anon(1)], vec![file(8)]).states, [PageState::Gone]);
}

#[test]
fn pages_the_worker_alone_has_are_fresh() {
    let diff = by_frames(vec![anon(1), file(2)], vec![anon(1), file(2)], vec![anon(1), anon(7)]);
    assert_eq!(diff.fresh, [Vpn(17)..Vpn(18)]);
    assert_eq!(diff.states, [PageState::Shared]);
}

#[test]
fn exec_takes_all_that_was_inherited() {
    let fork = process(vec![anon(1), anon(2)]);
    let inherited = Inherited::new(&fork, &[], |_| false);
    let worker = Process { image: [7, 8, 9], ..process(vec![anon(5)]) };
    let diff = diff(&inherited, &fork, &worker, &Evidence::Frames { reference: &fork.pages });
    assert_eq!(diff.states, [PageState::Gone; 2]);
    assert_eq!(diff.fresh_pages(), 1);
}

#[test]
fn a_page_takes_at_most_sixteen_bytes_a_process() {
    let pages = 10_000;
    let fork = process((1..=pages).map(anon).collect());
    let inherited = Inherited::new(&fork, &[], |_| false);
    let diff = diff(&inherited, &fork, &fork, &Evidence::Frames { reference: &fork.pages });
    let log = size_of::<crate::family::recording::PageCell>() * diff.states.len();
    let bytes = fork.pages.heap_bytes() + diff.states.capacity() * size_of::<PageState>() + log;
    assert_eq!(diff.states.len() as u64, pages);
    assert!(bytes as u64 <= 16 * pages, "{bytes} bytes for {pages} pages");
}

#[test]
fn a_huge_mapping_is_not_believed_to_be_exclusive() {
    let fork = process(vec![anon(0), anon(0)]);
    let inherited = Inherited::new(&fork, &[], |_| false);
    let worker = process(vec![exclusive(0), exclusive(0)]);
    let huge = [Vpn(16)..Vpn(17)];
    let evidence = Evidence::Marks { worker: (&[], &huge), zygote: (&[], &[]) };
    let diff = diff(&inherited, &fork, &worker, &evidence);
    assert_eq!(diff.states, [PageState::Shared, PageState::BrokenByWorker]);
}

/// What may happen to a page after the fork.
#[expect(clippy::struct_excessive_bools, reason = "the fates combine freely")]
#[derive(Debug, Clone, Copy)]
struct Fate {
    inherited: bool,
    worker_writes: bool,
    zygote_writes: bool,
    worker_unmaps: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(inherited, worker_writes, zygote_writes, worker_unmaps)| Fate {
            inherited,
            worker_writes,
            zygote_writes,
            worker_unmaps,
        },
    )
}

/// Plays the fates with distinct frames for every copy.
fn play(fates: &[Fate]) -> (Process, Process, Process) {
    let number = |index: usize, base: u64| base + index as u64;
    let column = |value: &dyn Fn(usize, &Fate) -> PageEntry| {
        process(fates.iter().enumerate().map(|(index, fate)| value(index, fate)).collect())
    };
    let fork = column(&|i, f| if f.inherited { anon(number(i, 1_000)) } else { PageEntry(0) });
    let zygote = column(&|i, f| match (f.inherited, f.zygote_writes) {
        (_, true) => exclusive(number(i, 2_000)),
        (true, false) => anon(number(i, 1_000)),
        (false, false) => PageEntry(0),
    });
    let worker = column(&|i, f| match (f.worker_unmaps, f.inherited, f.worker_writes) {
        (true, ..) | (_, false, false) => PageEntry(0),
        (_, _, true) => exclusive(number(i, 3_000)),
        (_, true, false) => anon(number(i, 1_000)),
    });
    (fork, zygote, worker)
}

fn expected(fate: Fate) -> PageState {
    if fate.worker_unmaps {
        PageState::Gone
    } else {
        PageState::of_writers(fate.worker_writes, fate.zygote_writes)
    }
}

fn ranges(fates: &[Fate], which: impl Fn(&Fate) -> bool) -> PageRanges {
    let pages = (16..).zip(fates).filter(|(_, fate)| which(fate));
    pages.map(|(page, _)| Vpn(page)..Vpn(page + 1)).collect()
}

proptest! {
    #[test]
    fn every_rung_gives_the_same_verdict(fates in prop::collection::vec(fate(), 1..200)) {
        let (fork, zygote, worker) = play(&fates);
        let inherited = Inherited::new(&fork, &[], |_| false);
        let truth: Vec<_> = fates.iter().filter(|f| f.inherited).copied().map(expected).collect();
        let (ours, theirs) = (ranges(&fates, |f| f.worker_writes), ranges(&fates, |f| f.zygote_writes));
        for evidence in [
            Evidence::Frames { reference: &fork.pages },
            Evidence::Marks { worker: (&ours, &[]), zygote: (&theirs, &[]) },
            Evidence::Marks { worker: (&[], &[]), zygote: (&[], &[]) },
        ] {
            let diff = diff(&inherited, &zygote, &worker, &evidence);
            prop_assert_eq!(&diff.states, &truth);
            let fresh = fates.iter().filter(|f| !f.inherited && f.worker_writes && !f.worker_unmaps).count();
            prop_assert_eq!(diff.fresh_pages(), fresh as u64);
        }
    }

    #[test]
    fn inherited_is_shared_plus_broken_plus_gone(fates in prop::collection::vec(fate(), 1..200)) {
        let (fork, zygote, worker) = play(&fates);
        let inherited = Inherited::new(&fork, &[], |_| false);
        let diff = diff(&inherited, &zygote, &worker, &Evidence::Frames { reference: &fork.pages });
        let count = |which: fn(PageState) -> bool| diff.count(which);
        prop_assert_eq!(
            inherited.len() as u64,
            count(|s| s == PageState::Shared) + count(PageState::broken) + count(|s| s == PageState::Gone)
        );
    }
}

proptest! {
    #[test]
    fn subtracting_ranges_is_subtracting_their_pages(a in scattered(), b in scattered()) {
        let pages = |ranges: &[Range<Vpn>]| -> Vec<u64> {
            ranges.iter().flat_map(|range| range.start.0..range.end.0).collect()
        };
        let without = pages(&b);
        let expected: Vec<u64> = pages(&a).into_iter().filter(|page| !without.contains(page)).collect();
        prop_assert_eq!(pages(&subtract(&a, &b)), expected);
    }
}

/// Ascending ranges, some of them adjacent.
fn scattered() -> impl Strategy<Value = PageRanges> {
    prop::collection::vec((0..4_u64, 1..5_u64), 0..8).prop_map(|steps| {
        let mut end = 0;
        let range = |(gap, len)| {
            let start = end + gap;
            end = start + len;
            Vpn(start)..Vpn(end)
        };
        steps.into_iter().map(range).collect()
    })
}
