//! The right answer for every page, worked out from the definitions and not from any kernel bit.

use crate::cases::{
    Before, Case, KERNEL_INK, KERNEL_OFFSET, Kind, LATE_INK, LATE_OFFSET, Member, Op, fork_time_byte,
};
use forkprint::family::PageState;
use forkprint::family::recording::Content;

/// The right answer for one page of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Inherited, and what became of it: the state, the bytes, and how many of these differ.
    Inherited(PageState, Content, u16),
    /// Not inherited; whether the worker has a private page there.
    NotInherited { fresh: bool },
}

impl Answer {
    /// Inherited and broken, whoever broke it.
    pub fn broken(self) -> bool {
        matches!(self, Self::Inherited(state, ..) if state.broken())
    }
}

/// Whether nobody can tell any more who broke a page.
///
/// The sibling does not hold a page written after it was frozen. When all members but one have a
/// copy, the last one writes in place: no copy is made, so that frames tell nothing, and it maps the
/// page alone even if it never wrote, so that bit 56 tells nothing.
pub fn lost_its_trace(case: &Case, workers: usize) -> bool {
    let members = (0..workers).map(Member::Worker).chain([Member::Zygote]);
    let touches = |member: Member| case.acts.iter().any(|&(who, op)| who.includes(member) && op != Op::Read);
    case.before == Before::WrittenLate && members.filter(|&member| !touches(member)).count() <= 1
}

/// One page in one process, as the model sees it.
#[derive(Clone)]
struct Page {
    /// The process has bytes of its own, or shares them copy-on-write.
    private: bool,
    /// It wrote the page or gave it up since the fork.
    touched: bool,
    /// The byte of each stretch of [`CUTS`].
    bytes: [u8; CUTS.len() - 1],
}

/// Where the inks of different members begin and end: between two cuts all bytes are equal.
const CUTS: [usize; 10] = [
    0,
    3,
    4,
    5,
    100,
    KERNEL_OFFSET,
    KERNEL_OFFSET + KERNEL_INK.1,
    LATE_OFFSET,
    LATE_OFFSET + LATE_INK.1,
    4096,
];

impl Page {
    fn at_fork(kind: Kind, before: Before, page: usize) -> Self {
        let written = matches!(before, Before::Written | Before::WrittenLate);
        let byte = if written { fork_time_byte(page) } else { 0 };
        let mut bytes = [byte; CUTS.len() - 1];
        if before == Before::WrittenLate {
            fill(&mut bytes, LATE_OFFSET, LATE_INK);
        }
        Self { private: written && kind != Kind::SharedAnonymous, touched: false, bytes }
    }

    /// Bytes that differ from another copy.
    fn differing(&self, other: &Self) -> usize {
        let lengths = CUTS.windows(2).map(|cut| cut[1] - cut[0]);
        let bytes = self.bytes.iter().zip(&other.bytes);
        lengths.zip(bytes).filter(|(_, (a, b))| a != b).map(|(length, _)| length).sum()
    }

    fn apply(&mut self, op: Op, member: Member) {
        match op {
            Op::Read => return,
            Op::WriteSame => {}
            Op::WriteNew => fill(&mut self.bytes, 0, member.ink()),
            Op::KernelWrite => fill(&mut self.bytes, KERNEL_OFFSET, KERNEL_INK),
            Op::Discard | Op::Unmap => self.bytes.fill(0),
        }
        self.touched = true;
        self.private = !matches!(op, Op::Discard | Op::Unmap);
    }
}

/// Writes `amount` bytes from an offset on.
fn fill(bytes: &mut [u8; CUTS.len() - 1], offset: usize, (byte, amount): (u8, usize)) {
    for (cut, stretch) in CUTS.iter().zip(bytes) {
        if (offset..offset + amount).contains(cut) {
            *stretch = byte;
        }
    }
}

/// The answer for one page in one worker, when all acts are done.
pub fn answer(kind: Kind, page: usize, case: &Case, worker: usize) -> Answer {
    let fork = Page::at_fork(kind, case.before, page);
    let after = |member: Member| {
        let mut copy = fork.clone();
        for (_, op) in case.acts.iter().filter(|(who, _)| who.includes(member)) {
            copy.apply(*op, member);
        }
        copy
    };
    let (ours, zygotes) = (after(Member::Worker(worker)), after(Member::Zygote));
    if !fork.private {
        return Answer::NotInherited { fresh: ours.private && kind != Kind::SharedAnonymous };
    }
    let state = match (ours.private, ours.touched, zygotes.touched) {
        (false, _, _) => PageState::Gone,
        (true, false, false) => PageState::Shared,
        (true, true, false) => PageState::BrokenByWorker,
        (true, false, true) => PageState::BrokenByZygote,
        (true, true, true) => PageState::BrokenByBoth,
    };
    // The copy to weigh is the worker's, or the zygote's where only that wrote.
    let copy = match state {
        PageState::BrokenByWorker | PageState::BrokenByBoth => Some(&ours),
        PageState::BrokenByZygote if zygotes.private => Some(&zygotes),
        _ => None,
    };
    // Of a page written after the sibling was frozen nobody has the fork-time bytes.
    let (content, changed) = match copy.filter(|_| case.before != Before::WrittenLate) {
        None => (Content::NotCompared, 0),
        Some(copy) => match copy.differing(&fork) {
            0 => (Content::Equal, 0),
            changed => (Content::Differs, u16::try_from(changed).unwrap()),
        },
    };
    Answer::Inherited(state, content, changed)
}
