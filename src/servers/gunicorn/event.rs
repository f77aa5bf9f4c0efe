//! What the runner tells about the master's forks.

/// One message of the runner; see `runner.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The first worker is about to be forked; the master stands still until told to go on.
    AboutToFork {
        /// Process id of the sibling frozen at the fork.
        reference: u32,
        /// Whether `gc.freeze()` was called in the master.
        frozen: bool,
        /// `gc.isenabled()` in the master.
        gc_enabled: bool,
        /// What the library can do that watches page faults.
        watcher: Watcher,
    },
    /// A worker was forked.
    Forked(u32),
    /// A worker has loaded the application and is about to accept requests.
    Ready(u32),
    /// A worker ended.
    Ended {
        /// Its process id.
        pid: u32,
        /// As `waitpid` gave it.
        status: i32,
    },
}

/// What the preloaded library can do in the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watcher {
    /// The dynamic linker did not load it, or it was not asked to.
    NotPreloaded,
    /// It does not know this Python: another implementation, an unknown version, or one without the GIL.
    UnknownPython,
    /// It watches, but Python's frames are not where their version says.
    NoFrames,
    /// It watches, with frames.
    Ready,
}

impl Watcher {
    fn of_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::NotPreloaded),
            1 => Some(Self::UnknownPython),
            2 => Some(Self::NoFrames),
            3 => Some(Self::Ready),
            _ => None,
        }
    }
}

impl Event {
    /// Reads one line.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let letter = fields.next()?;
        let mut number = || fields.next()?.parse::<i64>().ok();
        let event = match letter {
            "f" => Self::AboutToFork {
                reference: number()?.try_into().ok()?,
                frozen: number()? != 0,
                gc_enabled: number()? != 0,
                watcher: Watcher::of_number(number()?)?,
            },
            "w" => Self::Forked(number()?.try_into().ok()?),
            "r" => Self::Ready(number()?.try_into().ok()?),
            "x" => Self::Ended { pid: number()?.try_into().ok()?, status: number()?.try_into().ok()? },
            _ => return None,
        };
        number().is_none().then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_the_runner_is_understood() {
        assert_eq!(
            Event::parse("f 12 0 1 3"),
            Some(Event::AboutToFork {
                reference: 12,
                frozen: false,
                gc_enabled: true,
                watcher: Watcher::Ready
            })
        );
        assert_eq!(Event::parse("w 13"), Some(Event::Forked(13)));
        assert_eq!(Event::parse("r 13"), Some(Event::Ready(13)));
        assert_eq!(Event::parse("x 13 768"), Some(Event::Ended { pid: 13, status: 768 }));
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["", "w", "w -1", "w x", "q 1", "x 1", "w 1 2", "f 12 0 1 4", "w 99999999999"] {
            assert_eq!(Event::parse(line), None, "{line}");
        }
    }
}
