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

/// What becomes of a written page of one worker where no sibling holds the fork-time frame: the last
/// who maps that frame writes in place, which is no copy. The flag says that somebody did: the kernel
/// may still make a copy then, for instance while a page that was just read waits in a batch.
///
/// `None` when nobody holds it any more: the kernel may then hand it out again, to anybody.
pub fn state_without_sibling(case: &Case) -> Option<(PageState, bool)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Frame {
        OfTheFork,
        Own,
        None,
    }
    let members = [Member::Zygote, Member::Worker(0)];
    let mut frames = [Frame::OfTheFork; 2];
    let mut in_place = false;
    for &(who, op) in case.acts.iter().filter(|(_, op)| *op != Op::Read) {
        let me = usize::from(!who.includes(members[0]));
        frames[me] = match (op, frames) {
            (Op::Discard | Op::Unmap, _) => Frame::None,
            (_, [Frame::OfTheFork, Frame::OfTheFork]) => Frame::Own,
            (_, frames) if frames[me] == Frame::None => Frame::Own,
            (_, frames) => {
                in_place |= frames[me] == Frame::OfTheFork;
                frames[me]
            }
        };
    }
    let state = match frames {
        [Frame::OfTheFork, Frame::OfTheFork] => PageState::Shared,
        [Frame::OfTheFork, Frame::None] => PageState::Gone,
        [Frame::OfTheFork, Frame::Own] => PageState::BrokenByWorker,
        [_, Frame::OfTheFork] => PageState::BrokenByZygote,
        _ => return None,
    };
    Some((state, in_place))
}

/// Whether nobody can tell any more who broke a page.
///
/// The sibling does not hold a page written after it was frozen. When all members but one have a
/// copy, the last one writes in place: no copy is made, so that frames tell nothing, and it maps the
/// page alone even if it never wrote, so that bit 56 tells nothing.
pub fn lost_its_trace(case: &Case, workers: usize, worker: usize) -> bool {
    let first = match case.before {
        Before::WrittenLate => 0,
        Before::WrittenBetween if worker > 0 => 1,
        _ => return false,
    };
    let members = (first..workers).map(Member::Worker).chain([Member::Zygote]);
    let touches = |member: Member| case.acts.iter().any(|&(who, op)| who.includes(member) && op != Op::Read);
    members.filter(|&member| !touches(member)).count() <= 1
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
    fn at_fork(kind: Kind, before: Before, page: usize, worker: usize) -> Self {
        let written = !matches!(before, Before::Untouched | Before::Read);
        let byte = if written { fork_time_byte(page) } else { 0 };
        let mut bytes = [byte; CUTS.len() - 1];
        if before == Before::WrittenLate || before == Before::WrittenBetween && worker > 0 {
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
    let fork = Page::at_fork(kind, case.before, page, worker);
    let after = |member: Member| {
        let mut copy = fork.clone();
        if case.before == Before::WrittenBetween && worker == 0 && member == Member::Zygote {
            fill(&mut copy.bytes, LATE_OFFSET, LATE_INK);
            copy.touched = true;
        }
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
    let compared = match case.before {
        Before::WrittenLate => false,
        Before::WrittenBetween => worker == 0,
        _ => true,
    };
    let (content, changed) = match copy.filter(|_| compared) {
        None => (Content::NotCompared, 0),
        Some(copy) => match copy.differing(&fork) {
            0 => (Content::Equal, 0),
            changed => (Content::Differs, u16::try_from(changed).unwrap()),
        },
    };
    Answer::Inherited(state, content, changed)
}
