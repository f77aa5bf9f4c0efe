//! Shows the agent around: checks that it reads frames as `CPython` does, and lets it list the objects.

use crate::cpython::offsets::Offsets;
use crate::kernel::agent::Inside;
use crate::kernel::remote::SharedMemory;
use pyo3::prelude::*;
use std::ffi::CString;
use std::path::Path;

/// Asks the agent and Python itself for the frames under way, from three calls deep.
const ASK: &str = r#"
def ask(library):
    import sys
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    loader = ExtensionFileLoader("_forkprint_agent", library)
    agent = module_from_spec(spec_from_loader("_forkprint_agent", loader))

    def inner():
        seen, told, frame = agent.frames(), [], sys._getframe()
        while frame is not None:
            told.append((id(frame.f_code), frame.f_lasti))
            frame = frame.f_back
        return seen, told

    def outer():
        return inner()

    return outer()
"#;

/// Lets the agent list the objects, unless it reads frames otherwise than Python does. Returns the
/// address of `_PyRuntime`.
pub(super) fn meet(agent: Inside, library: &Path, version: (u8, u8)) -> Result<Option<u64>, String> {
    let runtime = Inside::symbol(c"_PyRuntime");
    let memory = SharedMemory::open(std::process::id()).map_err(|error| error.to_string())?;
    let offsets = Offsets::of_process(version, &memory, runtime).map_err(|error| error.what().to_owned())?;
    agent.lay_out_frames(&offsets.frames);
    Python::attach(|py| {
        let (seen, told) = ask(py, library).map_err(|raised| raised.to_string())?;
        compare(&seen, &told, &offsets)?;
        agent.census();
        Ok(runtime)
    })
}

type Frames = Vec<(u64, i64)>;

fn ask(py: Python<'_>, library: &Path) -> PyResult<(Frames, Frames)> {
    let module = PyModule::from_code(py, &CString::new(ASK)?, c"forkprint", c"forkprint_agent_check")?;
    let answer = module.getattr("ask")?.call1((library.as_os_str(),))?.extract();
    let modules = py.import("sys")?.getattr("modules")?;
    for name in ["forkprint_agent_check", "_forkprint_agent"] {
        modules.call_method1("pop", (name, py.None()))?;
    }
    answer
}

/// Frames as (code, instruction) from the agent, and as (code, `f_lasti` in bytes) from Python.
///
/// The innermost has gone on since the agent looked; its callers wait where they were.
fn compare(seen: &Frames, told: &Frames, offsets: &Offsets) -> Result<(), String> {
    let differ = |what: &str| Err(format!("the agent reads {what} otherwise than CPython itself"));
    if seen.len() < 3 || seen.len() != told.len() {
        return differ(&format!("{} frames of {}", seen.len(), told.len()));
    }
    if seen.iter().zip(told).any(|(seen, told)| seen.0 != told.0) {
        return differ("the code of frames");
    }
    let last_instruction = |&(code, instruction): &(u64, i64)| match offsets.version.1 {
        ..=9 => instruction,
        10 => 2 * instruction,
        _ => instruction - code.cast_signed() - offsets.code.code.cast_signed(),
    };
    if (1..seen.len()).any(|index| last_instruction(&seen[index]) != told[index].1) {
        return differ("the instruction under way");
    }
    Ok(())
}
