//! How workers end, from what the kernel keeps of them.

use crate::family::recording::Fate;
use crate::kernel::spawn::signal_name;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

/// The fate of a worker that ended with a status as `waitpid` gives it.
pub fn fate(status: i32, step: &str) -> Fate {
    let step = step.to_owned();
    match WaitStatus::from_raw(Pid::from_raw(1), status) {
        Ok(WaitStatus::Exited(_, code)) => Fate::Exited { code, step },
        Ok(WaitStatus::Signaled(_, signal, _)) => Fate::Killed { signal: signal.as_str().into(), step },
        _ => Fate::Killed { signal: signal_name(status & 0x7f), step },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_become_fates() {
        assert_eq!(fate(3 << 8, "1 request"), Fate::Exited { code: 3, step: "1 request".into() });
        assert_eq!(fate(9, "fork"), Fate::Killed { signal: "SIGKILL".into(), step: "fork".into() });
        assert_eq!(fate(0x8b, "fork"), Fate::Killed { signal: "SIGSEGV".into(), step: "fork".into() });
    }
}
