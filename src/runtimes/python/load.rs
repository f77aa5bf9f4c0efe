//! Imports a workload by its path and finds its steps.

use super::{PythonRuntime, Step, describe};
use crate::cpython::lifecycle::Host;
use crate::error::{Error, Result};
use crate::prepare;
use pyo3::exceptions::{PyAttributeError, PyModuleNotFoundError};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyList, PyModule};
use std::ffi::{CString, OsString};
use std::path::Path;

/// The decorator, for interpreters in which the package is not installed.
const STEPS_SOURCE: &str = include_str!("../../../python/forkprint/_steps.py");

/// `forkprint.prepare_fork`, for the same interpreters.
const PREPARE_SOURCE: &str = include_str!("../../../python/forkprint/_prepare.py");

const HOW_TO_MARK_A_STEP: &str =
    "import forkprint and write @forkprint.step above each function that a worker shall run";

/// Refuses what cannot be a workload before any interpreter is started.
pub(super) fn require_source_file(path: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::new("cannot load the workload").path(path).why(why));
    match std::fs::metadata(path) {
        Err(error) => refuse(&error.to_string()),
        Ok(found) if found.is_dir() => refuse("it is a folder, not a Python source file"),
        Ok(_) if path.extension().is_none_or(|ending| ending != "py") => {
            refuse("a Python workload is a source file whose name ends in .py")
        }
        Ok(_) => Ok(()),
    }
}

pub(super) fn workload(
    py: Python<'_>,
    path: &Path,
    arguments: &[OsString],
    host: Host,
) -> Result<PythonRuntime> {
    let failed = |raised: &PyErr| {
        let failure = describe(py, raised);
        let error = Error::new("the workload raised while it was imported")
            .path(path)
            .why(failure.traceback.unwrap_or(failure.message));
        if raised.is_instance_of::<PyModuleNotFoundError>(py) {
            error.fix(where_modules_are_looked_for(py))
        } else {
            error
        }
    };
    let path = path.canonicalize().map_err(|e| Error::new("cannot load the workload").path(path).why(e))?;
    refuse_free_threaded(py)?;
    let mut notes = Vec::new();
    if let Host::Embedded { note } = host {
        install_decorator(py).map_err(|raised| failed(&raised))?;
        notes.extend(note);
    }
    prepare_interpreter(py, &path, arguments).map_err(|raised| failed(&raised))?;
    refuse_taken_name(py, &path)?;
    let module = import(py, &path).map_err(|raised| failed(&raised))?;
    let steps = collect_steps(&module).map_err(|raised| failed(&raised))?;
    if steps.is_empty() {
        return Err(Error::new("the workload has no step").path(path).fix(HOW_TO_MARK_A_STEP));
    }
    let os_fork = py.import("os").and_then(|os| os.getattr("fork")).map_err(|raised| failed(&raised))?;
    let version = py.version_info();
    Ok(PythonRuntime {
        steps,
        os_fork: os_fork.unbind(),
        description: docstring(&module),
        notes,
        version: (version.major, version.minor, version.patch),
        finalized: false,
    })
}

/// Which interpreter runs the workload: not the one on PATH, as one may think.
fn where_modules_are_looked_for(py: Python<'_>) -> String {
    let prefix = py.import("sys").and_then(|sys| sys.getattr("prefix")?.extract::<String>());
    let version = py.version_info();
    format!(
        "install the module for this CPython {}.{}.{} ({}), or `pip install` forkprint into the environment that has it",
        version.major,
        version.minor,
        version.patch,
        prefix.unwrap_or_default()
    )
}

fn refuse_free_threaded(py: Python<'_>) -> Result<()> {
    let flags =
        py.import("sys").and_then(|sys| sys.getattr("abiflags")?.extract::<String>()).unwrap_or_default();
    if flags.contains('t') {
        return Err(Error::new("cannot run a workload on a free-threaded CPython")
            .location(Python::version_str())
            .why("it allocates objects with mimalloc, whose heap forkprint cannot read yet")
            .fix("use the default build of the same version"));
    }
    Ok(())
}

/// Makes `import forkprint` find the decorator that this binary was built with, and `prepare_fork` for those
/// who ask for it: what a workload does not use is not loaded, for workers inherit what is.
fn install_decorator(py: Python<'_>) -> PyResult<()> {
    let source = CString::new(STEPS_SOURCE)?;
    let module = PyModule::from_code(py, &source, c"forkprint/_steps.py", c"forkprint")?;
    let lacking = PyCFunction::new_closure(py, Some(c"__getattr__"), None, |arguments, _| {
        let name: String = arguments.get_item(0)?.extract()?;
        prepare_module(arguments.py(), &name).map(Bound::unbind)
    })?;
    module.setattr("__getattr__", lacking)?;
    py.import("sys")?.getattr("modules")?.set_item("forkprint", module)
}

/// What the module `forkprint` lacks at first.
fn prepare_module<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    if !matches!(name, "prepare_fork" | "Prepared" | "ForkprintError") {
        let message =
            format!("module 'forkprint' has no attribute '{name}' where the package is not installed");
        return Err(PyAttributeError::new_err(message));
    }
    let modules = py.import("sys")?.getattr("modules")?;
    if !modules.contains("forkprint._prepare")? {
        let module = PyModule::new(py, "forkprint._prepare")?;
        module.setattr("_native", prepare::native::module(py)?)?;
        let compile = py.import("builtins")?.getattr("compile")?;
        let code = compile.call1((PREPARE_SOURCE, "forkprint/_prepare.py", "exec"))?;
        py.import("builtins")?.call_method1("exec", (code, module.dict()))?;
        modules.set_item("forkprint._prepare", module)?;
    }
    let value = modules.get_item("forkprint._prepare")?.getattr(name)?;
    modules.get_item("forkprint")?.setattr(name, &value)?;
    Ok(value)
}

fn prepare_interpreter(py: Python<'_>, path: &Path, arguments: &[OsString]) -> PyResult<()> {
    let sys = py.import("sys")?;
    let argv = PyList::new(py, [path.as_os_str()])?;
    for argument in arguments {
        argv.append(argument)?;
    }
    sys.setattr("argv", argv)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    sys.getattr("path")?.call_method1("insert", (0, folder.as_os_str()))?;

    // A worker that ends without a clean shutdown then still has printed its whole lines.
    let line_buffering = PyDict::new(py);
    line_buffering.set_item("line_buffering", true)?;
    let stdout = sys.getattr("stdout")?;
    if stdout.hasattr("reconfigure")? {
        stdout.call_method("reconfigure", (), Some(&line_buffering))?;
    }
    Ok(())
}

fn refuse_taken_name(py: Python<'_>, path: &Path) -> Result<()> {
    let name = module_name(path);
    let taken = py.import("sys").and_then(|sys| sys.getattr("modules")?.contains(&name)).unwrap_or(false);
    if taken {
        return Err(Error::new("cannot load the workload")
            .path(path)
            .why(format!(
                "the interpreter has already imported another module named '{}'",
                name.to_string_lossy()
            ))
            .fix("rename the file"));
    }
    Ok(())
}

fn module_name(path: &Path) -> OsString {
    path.file_stem().unwrap_or_default().to_owned()
}

/// Imports the file as a module named after it.
///
/// It is always compiled afresh: a cached `.pyc` leaves other holes in the heap than a compiler
/// run, so the second measurement would differ from the first.
fn import<'py>(py: Python<'py>, path: &Path) -> PyResult<Bound<'py, PyModule>> {
    let name = module_name(path);
    let util = py.import("importlib.util")?;
    let spec = util.call_method1("spec_from_file_location", (&name, path.as_os_str()))?;
    let module = util.call_method1("module_from_spec", (&spec,))?.cast_into::<PyModule>()?;
    let modules = py.import("sys")?.getattr("modules")?;
    modules.set_item(&name, &module)?;
    let execute = || -> PyResult<()> {
        let loader = spec.getattr("loader")?;
        let source = loader.call_method1("get_data", (path.as_os_str(),))?;
        // Not by the loader, whose own frames would stand in the traceback of a syntax error.
        let builtins = py.import("builtins")?;
        let own_flags_only = PyDict::new(py);
        own_flags_only.set_item("dont_inherit", true)?;
        let code =
            builtins.call_method("compile", (source, path.as_os_str(), "exec"), Some(&own_flags_only))?;
        builtins.call_method1("exec", (code, module.dict()))?;
        Ok(())
    };
    execute().inspect_err(|_| drop(modules.del_item(&name)))?;
    Ok(module)
}

/// The marked functions of a module, in the order in which it defines them.
fn collect_steps(module: &Bound<'_, PyModule>) -> PyResult<Vec<Step>> {
    // Only plain functions are asked for a mark: lazy proxies answer such questions by failing.
    let function_type = module.py().import("types")?.getattr("FunctionType")?;
    let mut steps: Vec<Step> = Vec::new();
    for value in module.dict().values().iter().filter(|value| value.get_type().is(&function_type)) {
        let Some(mark) = value.getattr_opt("__forkprint_step__")? else { continue };
        if steps.iter().any(|step| step.function.is(&value)) {
            continue;
        }
        steps.push(Step {
            name: value.getattr("__name__")?.extract()?,
            finalize: mark.get_item("finalize")?.is_truthy()?,
            function: value.unbind(),
        });
    }
    Ok(steps)
}

fn docstring(module: &Bound<'_, PyModule>) -> String {
    let text = module.getattr("__doc__").and_then(|text| text.extract::<Option<String>>());
    text.ok().flatten().unwrap_or_default().trim().to_owned()
}
