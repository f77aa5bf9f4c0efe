//! The stack of every break, outermost call first: what flame graphs are made of.

use super::ranking::{NO_LINE, base_name};
use crate::family::breaks::{Break, Breaks, Flags, NONE};
use crate::family::cause::Cause;
use std::borrow::Cow;

/// One level of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    /// All that the zygote wrote.
    Zygote,
    /// Outer calls that are missing.
    Cut,
    /// A call: index in [`Breaks::functions`], and the line under way.
    Call(u32, u32),
    /// In place of calls, where none is known.
    NoLine,
    /// Below [`Self::NoLine`], why the page was written.
    Cause(Cause),
    /// Native code that ran without the GIL.
    Native,
    /// The kernel, in a system call.
    Kernel,
}

/// What two breaks of the same stack have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    frame: u32,
    flags: u8,
    /// Where no frame is known.
    cause: Option<Cause>,
}

impl Key {
    const TELLING: u8 = Flags::BY_ZYGOTE | Flags::GIL_RELEASED | Flags::BY_KERNEL | Flags::CUT;

    /// The stack of a break.
    pub fn of(breaks: &Breaks, row: &Break) -> Self {
        let known = breaks.frames.get(row.frame as usize).is_some();
        Self {
            frame: if known { row.frame } else { NONE },
            flags: row.flags.0 & Self::TELLING,
            cause: (!known).then_some(row.cause),
        }
    }

    /// Its levels, outermost first.
    pub fn levels(self, breaks: &Breaks) -> Vec<Level> {
        let flags = Flags(self.flags);
        let marked = |flag: u8, level: Level| flags.has(flag).then_some(level);
        let innermost = match self.cause {
            Some(cause) => vec![Level::Cause(cause), Level::NoLine],
            None => breaks.stack(self.frame).map(|frame| Level::Call(frame.function, frame.line)).collect(),
        };
        let outer = [marked(Flags::BY_ZYGOTE, Level::Zygote), marked(Flags::CUT, Level::Cut)];
        let inner = [marked(Flags::GIL_RELEASED, Level::Native), marked(Flags::BY_KERNEL, Level::Kernel)];
        let calls = innermost.into_iter().rev();
        outer.into_iter().flatten().chain(calls).chain(inner.into_iter().flatten()).collect()
    }
}

/// A level in words; a call as `function (file:line)`, with the whole path of the file where asked.
pub(super) fn label(breaks: &Breaks, level: Level, whole_path: bool) -> Cow<'static, str> {
    match level {
        Level::Zygote => "zygote".into(),
        Level::Cut => "outer calls not recorded".into(),
        Level::NoLine => NO_LINE.into(),
        Level::Cause(cause) => cause.name().into(),
        Level::Native => "native code without the GIL".into(),
        Level::Kernel => "kernel".into(),
        Level::Call(function, line) => match breaks.functions.get(function as usize) {
            Some(function) => {
                let file = if whole_path { &function.file } else { base_name(&function.file) };
                format!("{} ({file}:{line})", function.name).into()
            }
            None => "unknown function".into(),
        },
    }
}
