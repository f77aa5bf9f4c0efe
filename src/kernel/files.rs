//! Room for the descriptors of many watched processes, which those processes do not inherit.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::Mutex;

/// Soft limit of descriptors before it was raised, and how often it is asked to stay so.
static RAISED: Mutex<Option<(u64, usize)>> = Mutex::new(None);

/// While it lives, this process may open as many files as its hard limit allows: every watched process
/// takes a descriptor for each processor.
#[derive(Debug)]
pub struct MoreFiles(());

impl MoreFiles {
    /// Raises the soft limit of descriptors.
    pub fn allow() -> Self {
        if let (Ok(mut raised), Ok((soft, hard))) = (RAISED.lock(), getrlimit(Resource::RLIMIT_NOFILE)) {
            let (before, users) = raised.unwrap_or((soft, 0));
            let _as_it_was = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
            *raised = Some((before, users + 1));
        }
        Self(())
    }
}

impl Drop for MoreFiles {
    fn drop(&mut self) {
        let Ok(mut raised) = RAISED.lock() else { return };
        *raised = match *raised {
            Some((before, users)) if users > 1 => Some((before, users - 1)),
            Some((before, _)) => {
                set_soft_limit(before);
                None
            }
            None => None,
        };
    }
}

/// The soft limit that a program we start must have, where ours is raised.
pub fn limit_of_children() -> Option<u64> {
    RAISED.lock().ok()?.map(|(before, _)| before)
}

/// Sets the soft limit of descriptors. Makes two system calls and nothing else.
pub fn set_soft_limit(soft: u64) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _as_it_was = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::spawn::ProcessGroup;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn programs_that_we_start_have_the_limit_we_had() {
        let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        set_soft_limit(before.min(hard) - 7);
        let raised = MoreFiles::allow();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, hard);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n"]).stdout(Stdio::piped());
        let mut group = ProcessGroup::spawn(command, Vec::new()).unwrap();
        let mut told = String::new();
        group.child().stdout.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(told.trim().parse(), Ok(before - 7));
        drop(raised);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, before - 7);
        set_soft_limit(before);
    }
}
