//! Who pays for which frame: distinct frames, proportional and unique shares of a family.

use super::diff::{Diff, PageState};
use super::table::PageTable;
use crate::units::PAGE_SIZE;
use serde::{Deserialize, Serialize};

/// What one member of the family pays for private memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LedgerShare {
    /// Process id.
    pub pid: u32,
    /// Private pages it maps.
    pub private_pages: u64,
    /// Frames that no other member maps (USS), in pages.
    pub unique_frames: u64,
    /// Its share of every frame divided by the number of members that map it (PSS), in pages.
    pub proportional_frames: f64,
    /// Bytes of its page tables.
    pub page_table_bytes: u64,
}

/// The private memory of a family, divided among its members.
///
/// Conservation: the proportional shares add up to the distinct frames.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Frames that hold private memory of any member.
    pub distinct_frames: u64,
    /// Zygote first, then the workers.
    pub shares: Vec<LedgerShare>,
}

impl Ledger {
    /// Bytes of the proportional shares: what the family costs.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of shares"
    )]
    pub fn pss_bytes(&self) -> u64 {
        (self.shares.iter().map(|share| share.proportional_frames).sum::<f64>() * PAGE_SIZE as f64).round()
            as u64
    }

    /// Bytes of page tables of all members.
    pub fn page_table_bytes(&self) -> u64 {
        self.shares.iter().map(|share| share.page_table_bytes).sum()
    }

    /// Counts the members that map each frame (rung `pfn`). `None` when a frame is hidden.
    ///
    /// A swapped page costs no frame. Members are (pid, page table bytes, pages), zygote first.
    pub fn of_frames(members: &[(u32, u64, &PageTable)]) -> Option<Self> {
        let owners = FrameOwners::new(members.iter().map(|&(_, _, table)| table))?;
        let named: Vec<(u32, u64)> =
            members.iter().map(|&(pid, page_tables, _)| (pid, page_tables)).collect();
        Some(owners.ledger(&named))
    }

    /// Derives the frames from the verdicts on every worker (rungs that cannot see frames).
    ///
    /// Of an inherited page there is the fork-time frame, mapped by all who did not write it, and
    /// one copy for each who did. If all wrote it, the last one kept the fork-time frame, so the
    /// number of frames is the number of members. Private pages that only the zygote has
    /// (`zygote_fresh`) and fresh pages of workers are their owners' alone.
    pub fn of_states(zygote: (u32, u64), zygote_fresh: u64, workers: &[(u32, u64, &Diff)]) -> Self {
        let members =
            std::iter::once(zygote).chain(workers.iter().map(|&(pid, page_tables, _)| (pid, page_tables)));
        let mut tally = Tally::new(members);
        let mut distinct_frames = zygote_fresh;
        tally.add(0, 1, zygote_fresh);
        let pages = workers.first().map_or(0, |(_, _, diff)| diff.states.len());
        for page in 0..pages {
            let states = workers.iter().map(|(_, _, diff)| diff.states[page]);
            let zygote_wrote = states.clone().any(PageState::by_zygote);
            let sharers = states.clone().filter(|&state| keeps(state)).count() + usize::from(!zygote_wrote);
            distinct_frames += u64::from(sharers > 0) + u64::from(zygote_wrote);
            tally.add(0, if zygote_wrote { 1 } else { sharers }, 1);
            for (member, state) in (1..).zip(states) {
                if keeps(state) {
                    tally.add(member, sharers, 1);
                } else if state.by_worker() {
                    distinct_frames += 1;
                    tally.add(member, 1, 1);
                }
            }
        }
        for (member, (_, _, diff)) in (1..).zip(workers) {
            distinct_frames += diff.fresh_pages();
            tally.add(member, 1, diff.fresh_pages());
        }
        Self { distinct_frames, shares: tally.shares() }
    }
}

/// Who maps each frame of some processes.
#[derive(Debug)]
pub struct FrameOwners {
    /// One word for each private page: its frame above, the position of its process below. Sorted.
    owners: Vec<u64>,
}

impl FrameOwners {
    /// Bits for the position of a process. A physical address has at most 52 bits, so that 40 are
    /// left for the number of a frame.
    const PROCESS_BITS: u32 = 24;

    /// Gathers the frames of processes. `None` when one is hidden.
    pub fn new<'a>(tables: impl Iterator<Item = &'a PageTable>) -> Option<Self> {
        let mut owners = Vec::new();
        for (process, table) in (0_u64..1 << Self::PROCESS_BITS).zip(tables) {
            owners.reserve_exact(table.entries.len());
            for entry in table.entries.iter().filter(|entry| entry.private() && entry.present()) {
                owners.push(entry.pfn()?.0 << Self::PROCESS_BITS | process);
            }
        }
        owners.sort_unstable();
        Some(Self { owners })
    }

    /// The ledger of the first processes, (pid, page table bytes) each; the others are not counted.
    pub fn ledger(&self, members: &[(u32, u64)]) -> Ledger {
        let mut tally = Tally::new(members.iter().copied());
        let mut distinct_frames = 0;
        for frame in self.owners.chunk_by(|a, b| a >> Self::PROCESS_BITS == b >> Self::PROCESS_BITS) {
            let position = |owner: &u64| (owner & ((1 << Self::PROCESS_BITS) - 1)) as usize;
            let sharers = frame.iter().take_while(|owner| position(owner) < members.len()).count();
            distinct_frames += u64::from(sharers > 0);
            frame[..sharers].iter().for_each(|owner| tally.add(position(owner), sharers, 1));
        }
        Ledger { distinct_frames, shares: tally.shares() }
    }
}

/// Whether a worker still maps the fork-time frame of a page.
fn keeps(state: PageState) -> bool {
    matches!(state, PageState::Shared | PageState::BrokenByZygote)
}

/// Fork-time frames that no member maps any more: only a frozen sibling still holds them.
pub fn left_to_the_sibling(workers: &[Diff]) -> u64 {
    let pages = workers.first().map_or(0, |diff| diff.states.len());
    let left = |page: &usize| {
        let mut states = workers.iter().map(|diff| diff.states[*page]);
        states.clone().any(PageState::by_zygote) && !states.any(keeps)
    };
    (0..pages).filter(left).count() as u64
}

/// Frames of each member by how many members share them: exact until the one division at the end.
struct Tally {
    members: Vec<(u32, u64, Vec<u64>)>,
}

impl Tally {
    fn new(members: impl Iterator<Item = (u32, u64)>) -> Self {
        Self { members: members.map(|(pid, page_tables)| (pid, page_tables, Vec::new())).collect() }
    }

    fn add(&mut self, member: usize, sharers: usize, frames: u64) {
        let by_sharers = &mut self.members[member].2;
        if by_sharers.len() <= sharers {
            by_sharers.resize(sharers + 1, 0);
        }
        by_sharers[sharers] += frames;
    }

    #[expect(clippy::cast_precision_loss, reason = "page counts are far below 2^52")]
    fn shares(self) -> Vec<LedgerShare> {
        let share = |(pid, page_table_bytes, frames): (u32, u64, Vec<u64>)| LedgerShare {
            pid,
            private_pages: frames.iter().sum(),
            unique_frames: frames.get(1).copied().unwrap_or(0),
            proportional_frames: frames
                .iter()
                .enumerate()
                .skip(1)
                .map(|(sharers, &count)| count as f64 / sharers as f64)
                .sum(),
            page_table_bytes,
        };
        self.members.into_iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::page::tests::{anon, file, swap};
    use crate::family::table::Run;
    use crate::family::{PageEntry, Process};
    use crate::units::Vpn;
    use proptest::prelude::*;

    fn table(entries: Vec<PageEntry>) -> PageTable {
        PageTable { runs: vec![Run { first: Vpn(1), len: entries.len(), offset: 0, vma: 0 }], entries }
    }

    #[test]
    fn a_frame_is_paid_for_by_those_who_map_it() {
        let zygote = table(vec![anon(1), anon(2), anon(3), file(9)]);
        let worker = table(vec![anon(1), anon(20), swap(3)]);
        let ledger = Ledger::of_frames(&[(10, 4096, &zygote), (11, 8192, &worker)]).unwrap();
        assert_eq!(ledger.distinct_frames, 4);
        assert_eq!(ledger.shares[0].unique_frames, 2);
        assert!((ledger.shares[1].proportional_frames - 1.5).abs() < 1e-9);
        assert_eq!(ledger.page_table_bytes(), 12_288);
    }

    #[test]
    fn a_process_that_is_not_counted_pays_nothing_and_makes_nothing_dearer() {
        let zygote = table(vec![anon(1), anon(2)]);
        let sibling = table(vec![anon(1), anon(3)]);
        let owners = FrameOwners::new([&zygote, &sibling].into_iter()).unwrap();
        let ledger = owners.ledger(&[(10, 0)]);
        assert_eq!((ledger.distinct_frames, ledger.shares[0].unique_frames), (2, 2));
        assert_eq!(owners.ledger(&[(10, 0), (11, 0)]).distinct_frames, 3);
    }

    #[test]
    fn hidden_frames_give_no_ledger() {
        assert!(Ledger::of_frames(&[(1, 0, &table(vec![anon(0)]))]).is_none());
    }

    proptest! {
        #[test]
        fn shares_add_up_and_both_methods_agree(
            pages in prop::collection::vec((any::<bool>(), prop::array::uniform3(0_u8..3)), 1..100),
        ) {
            // A zygote and three workers; each page is written by the zygote or not, and kept (0),
            // written (1) or unmapped (2) by each worker.
            let zygote = table((1..).zip(&pages).map(|(i, (wrote, _))| anon(if *wrote { 10_000 + i } else { i })).collect());
            let workers: Vec<PageTable> = (0..3).map(|w| {
                table((1..).zip(&pages).map(|(i, (_, fates))| match fates[w] {
                    0 => anon(i),
                    1 => anon(20_000 + 1_000 * w as u64 + i),
                    _ => PageEntry(0),
                }).collect())
            }).collect();
            let members: Vec<_> = std::iter::once(&zygote).chain(&workers).map(|t| (0, 0, t)).collect();
            let by_frames = Ledger::of_frames(&members).unwrap();

            let fork = Process { pages: table((1..=pages.len() as u64).map(anon).collect()), vmas: vec![area(pages.len())], ..Process::default() };
            let inherited = crate::family::Inherited::new(&fork, &[], |_| false);
            let diffs: Vec<Diff> = workers.iter().map(|worker| crate::family::diff(
                &inherited,
                &Process { pages: zygote.clone(), ..Process::default() },
                &Process { pages: worker.clone(), ..Process::default() },
                &crate::family::Evidence::Frames { reference: &fork.pages },
            )).collect();
            let named: Vec<_> = diffs.iter().map(|diff| (0, 0, diff)).collect();
            let by_states = Ledger::of_states((0, 0), 0, &named);

            let total: f64 = by_frames.shares.iter().map(|share| share.proportional_frames).sum();
            let frames = f64::from(u32::try_from(by_frames.distinct_frames).unwrap());
            prop_assert!((total - frames).abs() < 1e-6);
            prop_assert_eq!(by_frames.distinct_frames, by_states.distinct_frames);
            for (a, b) in by_frames.shares.iter().zip(&by_states.shares) {
                prop_assert!((a.proportional_frames - b.proportional_frames).abs() < 1e-6);
                prop_assert_eq!(a.unique_frames, b.unique_frames);
            }
        }
    }

    fn area(pages: usize) -> crate::family::Vma {
        crate::family::Vma {
            start: Vpn(1),
            end: Vpn(1 + pages as u64),
            flags: crate::family::VmaFlags { read: true, write: true, execute: false, private: true },
            offset: 0,
            inode: 0,
            name: String::new(),
        }
    }
}
