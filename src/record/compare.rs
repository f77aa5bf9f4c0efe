//! Weighs the copies of a family: which bytes of a broken page differ from those of the fork.

use super::evidence::EvidenceSource;
use super::pages::ChangedBytes;
use crate::error::Result;
use crate::family::{Diff, Inherited, PageState, Process};
use crate::observe::contents::{self, Mapped};
use crate::units::Vpn;

/// Where the fork-time bytes of a family are, at one moment.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The pages in question.
    pub inherited: &'a Inherited,
    /// Tells the pages whose fork-time bytes the frozen sibling does not hold.
    pub evidence: &'a EvidenceSource,
    /// The frozen sibling.
    pub reference: Option<u32>,
    /// The zygote, as read at this moment.
    pub zygote: &'a Process,
}

impl Comparison<'_> {
    /// Bytes that differ in each broken page, by the index of the inherited page.
    ///
    /// A page that only the zygote wrote still has its fork-time bytes in the worker: there the
    /// zygote's copy is the one to weigh.
    #[tracing::instrument(level = "debug", skip_all)]
    pub fn changed_bytes(&self, index: usize, worker: &Process, diff: &Diff) -> Result<ChangedBytes> {
        let Some(reference) = self.reference else { return self.against_the_zygote(worker, diff) };
        let frozen = |page, at: Vpn| !self.evidence.is_unfrozen(index, page, at);
        let workers = |page, at, state: PageState| state.by_worker() && frozen(page, at);
        let zygotes = |page, at, state| state == PageState::BrokenByZygote && frozen(page, at);
        let mut bytes = self.pages(diff, workers, reference, worker)?;
        bytes.extend(self.pages(diff, zygotes, reference, self.zygote)?);
        Ok(bytes)
    }

    /// Without a frozen sibling the zygote has the fork-time bytes of all pages it did not write.
    fn against_the_zygote(&self, worker: &Process, diff: &Diff) -> Result<ChangedBytes> {
        let by = |wanted| move |_, _, state: PageState| state == wanted;
        let mut bytes = self.pages(diff, by(PageState::BrokenByWorker), self.zygote.pid, worker)?;
        bytes.extend(self.pages(diff, by(PageState::BrokenByZygote), worker.pid, self.zygote)?);
        Ok(bytes)
    }

    /// Compares the copies that one process has of some of the pages.
    ///
    /// A page that it gave up is left out: reading there would only make the kernel fill in a new one.
    fn pages(
        &self,
        diff: &Diff,
        which: impl Fn(usize, Vpn, PageState) -> bool,
        reference: u32,
        owner: &Process,
    ) -> Result<ChangedBytes> {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        let mut copies = owner.pages.cursor();
        for (index, ((page, _), &state)) in self.inherited.table.iter().zip(&diff.states).enumerate() {
            if which(index, page, state) {
                let copy = copies.get(page);
                match (copy.private(), copy.exclusive()) {
                    (false, _) => {}
                    (true, true) => alone.push((index, page)),
                    (true, false) => together.push((index, page)),
                }
            }
        }
        let mut bytes = ChangedBytes::new();
        for (chosen, mapped) in [(alone, Mapped::Alone), (together, Mapped::Together)] {
            let pages: Vec<Vpn> = chosen.iter().map(|&(_, page)| page).collect();
            let counts = contents::compare(&pages, reference, owner.pid, mapped)?;
            bytes.extend(chosen.iter().zip(counts).filter_map(|(&(index, _), count)| Some((index, count?))));
        }
        Ok(bytes)
    }
}
