//! What a worker inherits: the zygote's private pages at the fork, cut into named regions.

use super::region::Region;
use super::table::{PageTable, Process, Run};
use crate::units::Vpn;

/// The private pages of the zygote at the fork, in address order.
///
/// Every run lies in one region; page `i` of the family is entry `i` of the table.
#[derive(Debug, Clone, Default)]
pub struct Inherited {
    /// Fork-time entries of the inherited pages. `Run::vma` is an index into the zygote's areas.
    pub table: PageTable,
    /// Region names, in the order in which their first page appears.
    pub regions: Vec<String>,
    /// For each run of the table, the index of its region.
    pub region_of_run: Vec<u32>,
}

impl Inherited {
    /// Takes the private pages of a zygote and names them by disjoint, sorted `regions`.
    ///
    /// A page no region covers is named after its area. Pages for which `exclude` answers true
    /// belong to the instrument and are left out.
    pub fn new(zygote: &Process, regions: &[Region], exclude: impl Fn(Vpn) -> bool) -> Self {
        let mut inherited = Self::default();
        let mut names = RegionNames::new(regions);
        for run in &zygote.pages.runs {
            let vma_name = area_name(&zygote.vmas[run.vma].name);
            for (page, &entry) in (run.first.0..).map(Vpn).zip(zygote.pages.of_run(run)) {
                if entry.private() && !exclude(page) {
                    let name = names.at(page).unwrap_or(&vma_name);
                    inherited.push(page, entry, run.vma, name);
                }
            }
        }
        inherited
    }

    /// The index of a page, if it was inherited.
    pub fn index_of(&self, page: Vpn) -> Option<usize> {
        let run = self.table.runs.partition_point(|run| run.end() <= page);
        let run = self.table.runs.get(run).filter(|run| run.first <= page)?;
        Some(run.offset + usize::try_from(page.0 - run.first.0).ok()?)
    }

    /// Number of inherited pages.
    pub fn len(&self) -> usize {
        self.table.entries.len()
    }

    /// Whether nothing was inherited.
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// The region of each page, in page order.
    pub fn region_of_page(&self) -> impl Iterator<Item = u32> + '_ {
        self.table
            .runs
            .iter()
            .zip(&self.region_of_run)
            .flat_map(|(run, &region)| std::iter::repeat_n(region, run.len))
    }

    fn push(&mut self, page: Vpn, entry: super::PageEntry, vma: usize, region: &str) {
        let offset = self.table.entries.len();
        self.table.entries.push(entry);
        let region_continues =
            self.region_of_run.last().is_some_and(|&last| self.regions[last as usize] == region);
        if let Some(last) = self.table.runs.last_mut()
            && region_continues
            && last.vma == vma
            && last.end() == page
        {
            last.len += 1;
            return;
        }
        let region = self.region_index(region);
        self.region_of_run.push(region);
        self.table.runs.push(Run { first: page, len: 1, offset, vma });
    }

    #[expect(clippy::cast_possible_truncation, reason = "a process has fewer than 2^32 regions")]
    fn region_index(&mut self, name: &str) -> u32 {
        let known = self.regions.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.regions.push(name.to_owned());
            self.regions.len() - 1
        }) as u32
    }
}

/// What to call an area that no runtime claims.
fn area_name(vma_name: &str) -> String {
    match vma_name {
        "" => "anonymous".into(),
        "[heap]" => "heap".into(),
        "[stack]" => "stack".into(),
        path => path.rsplit('/').next().unwrap_or(path).into(),
    }
}

/// Looks up regions of ascending pages.
struct RegionNames<'a> {
    regions: &'a [Region],
    next: usize,
}

impl<'a> RegionNames<'a> {
    fn new(regions: &'a [Region]) -> Self {
        debug_assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start), "sorted and disjoint");
        Self { regions, next: 0 }
    }

    fn at(&mut self, page: Vpn) -> Option<&'a str> {
        while self.regions.get(self.next).is_some_and(|region| region.end <= page.address()) {
            self.next += 1;
        }
        let region = self.regions.get(self.next)?;
        (region.start <= page.address()).then_some(region.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::page::tests::{anon, file};
    use crate::family::vma::{Vma, VmaFlags};

    fn zygote() -> Process {
        let entries = vec![anon(1), file(2), anon(3), anon(4)];
        let vma = Vma {
            start: Vpn(10),
            end: Vpn(14),
            flags: VmaFlags { read: true, write: true, execute: false, private: true },
            offset: 0,
            inode: 0,
            name: "[heap]".into(),
        };
        let runs = vec![Run { first: Vpn(10), len: 4, offset: 0, vma: 0 }];
        Process { vmas: vec![vma], pages: PageTable { runs, entries }, ..Process::default() }
    }

    #[test]
    fn runs_are_cut_where_a_page_is_not_private_and_where_a_region_begins() {
        let region = Region { start: 13 << 12, end: 14 << 12, name: "code cache".into() };
        let inherited = Inherited::new(&zygote(), &[region], |_| false);
        assert_eq!(inherited.regions, ["heap", "code cache"]);
        assert_eq!(inherited.region_of_page().collect::<Vec<_>>(), [0, 0, 1]);
        let firsts: Vec<_> = inherited.table.runs.iter().map(|run| run.first.0).collect();
        assert_eq!(firsts, [10, 12, 13]);
    }

    #[test]
    fn a_page_is_found_by_its_address() {
        let inherited = Inherited::new(&zygote(), &[], |_| false);
        let found = (9..15).map(|page| inherited.index_of(Vpn(page))).collect::<Vec<_>>();
        assert_eq!(found, [None, Some(0), None, Some(1), Some(2), None]);
    }

    #[test]
    fn pages_of_the_instrument_are_left_out() {
        let inherited = Inherited::new(&zygote(), &[], |page| page == Vpn(12));
        assert_eq!(inherited.table.iter().map(|(page, _)| page.0).collect::<Vec<_>>(), [10, 13]);
    }
}
