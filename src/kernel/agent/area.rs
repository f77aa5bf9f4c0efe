//! The logs of one watched process, as its agent writes them.

use super::memory::SharedMapping;
use super::watched::Waiting;
use crate::agent::wire::{
    AREA_BYTES, FAULTS, FAULTS_AT, FRAMES, FRAMES_AT, Fault, FrameWord, Header, MAGIC, PIECE, STACK_SLOTS,
    STACKS_AT, StackSlot, TRAPS, TRAPS_AT, Trap,
};
use crate::error::{Error, Result};
use std::mem::offset_of;
use std::os::fd::OwnedFd;

/// A mapped area.
#[derive(Debug)]
pub(super) struct Area {
    mapping: SharedMapping,
    /// The first page as it was when the process was armed.
    pub header: Header,
    /// Ends of what was made present of faults, traps and frames.
    present: [usize; 3],
}

impl Area {
    pub fn map(memfd: &OwnedFd) -> Result<Self> {
        let mapping = SharedMapping::map(memfd, AREA_BYTES)?;
        let header: Header = mapping.copy(0).ok_or_else(|| Error::new("the agent's memory is empty"))?;
        if header.magic != MAGIC {
            return Err(Error::new("the agent is of another version")
                .why(format!("its memory begins with {:#x}, not {MAGIC:#x}", header.magic)));
        }
        mapping.make_present(0..FAULTS_AT);
        let mut area = Self { mapping, header, present: [FAULTS_AT, TRAPS_AT, FRAMES_AT] };
        area.share();
        Ok(area)
    }

    /// Maps what the process has made present by now.
    ///
    /// Memory that the process alone maps would look like private memory in the kernel's totals.
    pub fn share(&mut self) {
        let logs = [
            (FAULTS_AT, offset_of!(Header, faults), size_of::<Fault>()),
            (TRAPS_AT, offset_of!(Header, traps), size_of::<Trap>()),
            (FRAMES_AT, offset_of!(Header, frames), size_of::<FrameWord>()),
        ];
        for (present, (log, counter, entry)) in self.present.iter_mut().zip(logs) {
            let used = log + self.mapping.word64(counter).min(1 << 26) as usize * entry;
            // The process makes memory present two pieces ahead, see `agent/library/area.rs`.
            let end = (used / PIECE + 3) * PIECE;
            if end > *present {
                self.mapping.make_present(*present & !4095..end.min(AREA_BYTES));
                *present = end;
            }
        }
    }

    /// Faults from number `from` on that are whole, and the number to go on from.
    pub fn faults(&self, from: usize) -> (impl Iterator<Item = Fault>, usize) {
        let logged = self.counter(offset_of!(Header, faults)).min(FAULTS);
        let whole = self.whole(FAULTS_AT, size_of::<Fault>(), offset_of!(Fault, ready), from..logged);
        let place = |index| FAULTS_AT + index * size_of::<Fault>();
        (whole.filter_map(move |index| self.mapping.copy(place(index))), logged.max(from))
    }

    /// Traps from number `from` on that are whole, with their threads, and the number to go on from.
    pub fn traps(&self, from: usize) -> (impl Iterator<Item = (u32, Waiting)>, usize) {
        let logged = self.counter(offset_of!(Header, traps)).min(TRAPS);
        let whole = self.whole(TRAPS_AT, size_of::<Trap>(), offset_of!(Trap, ready), from..logged);
        let read = |index: usize| {
            let at = TRAPS_AT + index * size_of::<Trap>();
            let thread = self.mapping.word32(at + offset_of!(Trap, thread));
            let address = self.mapping.word64(at + offset_of!(Trap, address));
            Some((thread, Waiting { number: u32::try_from(index).ok()?, address }))
        };
        (whole.filter_map(read), logged.max(from))
    }

    /// A trap by its number.
    pub fn trap(&self, number: u32) -> Option<Trap> {
        let index = usize::try_from(number).ok().filter(|&index| index < TRAPS)?;
        self.mapping.copy(TRAPS_AT + index * size_of::<Trap>())
    }

    /// The frames of a stack by its number, innermost first, and whether there were more.
    pub fn stack(&self, number: u32) -> Option<(Vec<FrameWord>, bool)> {
        let slot = usize::try_from(number.checked_sub(1)?).ok().filter(|&slot| slot < STACK_SLOTS)?;
        let offset = STACKS_AT + slot * size_of::<StackSlot>();
        let count = self.mapping.word32(offset + offset_of!(StackSlot, count));
        let first = self.mapping.copy::<StackSlot>(offset)?.first as usize;
        let frames = (count & !StackSlot::CUT) as usize;
        if frames == 0 || first.checked_add(frames)? > FRAMES {
            return None;
        }
        let frame = |index: usize| self.mapping.copy(FRAMES_AT + (first + index) * size_of::<FrameWord>());
        let frames: Option<Vec<FrameWord>> = (0..frames).map(frame).collect();
        Some((frames?, count & StackSlot::CUT != 0))
    }

    /// Stacks that found no room.
    pub fn stacks_dropped(&self) -> u64 {
        self.mapping.word64(offset_of!(Header, stacks_dropped))
    }

    fn counter(&self, offset: usize) -> usize {
        usize::try_from(self.mapping.word64(offset)).unwrap_or(usize::MAX)
    }

    /// Indices of entries of a log. One that is not whole (its writer was killed) is left out.
    fn whole(
        &self,
        log: usize,
        entry: usize,
        ready: usize,
        range: std::ops::Range<usize>,
    ) -> impl Iterator<Item = usize> {
        range.filter(move |&index| self.mapping.word32(log + index * entry + ready) != 0)
    }
}
