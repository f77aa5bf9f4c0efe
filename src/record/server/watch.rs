//! What the agent says of itself in a gunicorn master, and what can be made of it.

use crate::cpython::offsets::Offsets;
use crate::error::Result;
use crate::family::Witness;
use crate::record::trace::Trace;
use crate::record::watch::Watch;
use crate::servers::gunicorn::{Settings, Watcher};

/// Begins to watch a master that is about to fork its first worker.
pub fn begin(mut watch: Watch, master: u32, agent: Watcher, settings: &Settings) -> Result<Trace> {
    let (major, minor, _) = settings.python;
    if watch.agent().is_some() {
        let useless = match agent {
            Watcher::NotPreloaded => Some(
                "the agent could not be preloaded (a static interpreter, or a folder for temporary files that is mounted noexec)".to_owned(),
            ),
            Watcher::UnknownPython => Some(format!("the agent does not know {} {major}.{minor}", settings.implementation)),
            Watcher::NoFrames | Watcher::Ready => None,
        };
        if let Some(why) = useless {
            watch.go_without(&why, Some("leave out --witness, or say --witness ring".into()))?;
        }
    }
    let offsets = Offsets::of_version((major, minor));
    if let Err(error) = &offsets {
        watch.note(format!("lines and objects have no names: {}", error.what()));
    }
    if agent == Watcher::NoFrames && watch.witness() == Witness::Sigtrap {
        watch.note("breaks have no lines: the agent finds frames elsewhere than this Python says they are");
    }
    let mut trace = watch.begin(master)?;
    if let Ok(offsets) = offsets {
        trace.read_python_with(offsets);
    }
    Ok(trace)
}
