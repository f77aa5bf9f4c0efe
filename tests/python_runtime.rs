//! The CPython runtime against real modules. One process a test: an interpreter is a process-wide thing.

use forkprint::error::Error;
use forkprint::runtimes::python::PythonRuntime;
use forkprint::runtimes::{ForkSide, Runtime};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

/// Runs the calling test again in a process of its own, unless it has one already. True there.
///
/// cargo-nextest gives every test a process; plain `cargo test` gives it a thread of its name.
fn alone() -> bool {
    const ALONE: &str = "FORKPRINT_TEST_ALONE";
    if std::env::var_os("NEXTEST").is_some() || std::env::var_os(ALONE).is_some() {
        return true;
    }
    let name = std::thread::current().name().expect("libtest names its threads").to_owned();
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let status = again.args(["--exact", &name]).env(ALONE, "1").status().unwrap();
    assert!(status.success(), "{name} failed in a process of its own");
    false
}

/// A workload in a folder of its own.
struct Workload {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn workload(source: &str) -> Workload {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made_up_workload.py");
    std::fs::write(&path, source).unwrap();
    Workload { _folder: folder, path }
}

fn load(source: &str) -> Result<PythonRuntime, Error> {
    PythonRuntime::load(&workload(source).path, &[])
}

fn refusal(source: &str) -> String {
    load(source).unwrap_err().to_string()
}

#[test]
fn steps_run_in_the_order_of_their_definition_in_one_module() {
    if !alone() {
        return;
    }
    let mut runtime = load(
        "'''Says what it does.'''\n\
         import forkprint\n\
         seen = []\n\
         @forkprint.step\n\
         def warm(): seen.append('warm')\n\
         def not_a_step(): raise AssertionError\n\
         @forkprint.step\n\
         def again():\n    assert seen == ['warm'], seen\n",
    )
    .unwrap();
    assert_eq!(runtime.steps(), ["warm", "again"]);
    assert_eq!(runtime.description(), "Says what it does.");
    assert!(runtime.version().starts_with("CPython 3."), "{}", runtime.version());
    assert_eq!(runtime.python_version().unwrap().0, 3);
    runtime.run_step(0).unwrap();
    runtime.run_step(1).unwrap();
    assert!(runtime.run_step(2).is_err());
}

#[test]
fn a_workload_finds_its_neighbours_its_arguments_and_itself() {
    if !alone() {
        return;
    }
    let workload = workload(
        "import sys, forkprint\n\
         sys.dont_write_bytecode = False\n\
         import neighbour\n\
         assert sys.modules[__name__].__dict__ is globals()\n\
         assert sys.argv == [__file__, '--size', '3'], sys.argv\n\
         @forkprint.step\n\
         def use(): assert neighbour.value == 7\n",
    );
    std::fs::write(workload.path.with_file_name("neighbour.py"), "value = 7\n").unwrap();
    let mut runtime = PythonRuntime::load(&workload.path, &["--size".into(), "3".into()]).unwrap();
    runtime.run_step(0).unwrap();
    let cached = std::fs::read_dir(workload.path.with_file_name("__pycache__")).unwrap();
    let cached: Vec<String> = cached.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(cached.iter().all(|file| file.starts_with("neighbour")), "{cached:?}");
}

#[test]
fn a_missing_file_a_folder_and_a_foreign_ending_are_refused() {
    if !alone() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| PythonRuntime::load(path, &[]).unwrap_err().to_string();
    assert!(refusal(&folder.path().join("none.py")).contains("No such file"));
    assert!(refusal(folder.path()).contains("it is a folder"));
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "").unwrap();
    assert!(refusal(&text).contains("ends in .py"));
}

#[test]
fn a_syntax_error_is_shown_with_its_line() {
    if !alone() {
        return;
    }
    let error = refusal("import forkprint\ndef broken(:\n");
    assert!(error.contains("made_up_workload.py\", line 2") && error.contains("SyntaxError"), "{error}");
}

#[test]
fn an_exception_at_import_is_shown_with_its_traceback() {
    if !alone() {
        return;
    }
    let error = refusal("def build():\n    return {}['missing']\nbuild()\n");
    for part in ["line 3, in <module>", "line 2, in build", "KeyError: 'missing'"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!error.contains("importlib"), "only the workload's own frames: {error}");
}

#[test]
fn leaving_at_import_is_a_failure() {
    if !alone() {
        return;
    }
    assert!(refusal("raise SystemExit(3)\n").contains("SystemExit: 3"));
}

#[test]
fn a_workload_without_steps_tells_how_to_mark_one() {
    if !alone() {
        return;
    }
    let error = refusal("x = 1\n");
    assert!(error.contains("no step") && error.contains("@forkprint.step"), "{error}");
}

#[test]
fn steps_that_could_not_run_are_refused_where_they_are_marked() {
    if !alone() {
        return;
    }
    for (definition, reason) in [
        ("def f(x): pass", "takes parameters"),
        ("def f(*, x): pass", "takes parameters"),
        ("async def f(): pass", "coroutine or generator"),
        ("def f(): yield", "coroutine or generator"),
        ("class f: pass", "marks functions"),
    ] {
        let error = refusal(&format!("import forkprint\n@forkprint.step\n{definition}\n"));
        assert!(error.contains(reason), "{definition}: {error}");
    }
}

#[test]
fn a_name_that_is_taken_is_refused() {
    if !alone() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sys.py");
    std::fs::write(&path, "").unwrap();
    let error = PythonRuntime::load(&path, &[]).unwrap_err().to_string();
    assert!(error.contains("already imported") && error.contains("rename the file"), "{error}");
}

#[test]
fn a_step_that_raises_fails_with_message_and_traceback() {
    if !alone() {
        return;
    }
    let mut runtime = load(
        "import forkprint, sys\n\
         @forkprint.step\n\
         def bad():\n    raise ValueError('no luck\\nat all')\n\
         @forkprint.step\n\
         def leave(): sys.exit('enough')\n\
         @forkprint.step\n\
         def stop(): raise KeyboardInterrupt\n\
         @forkprint.step\n\
         def fine(): pass\n",
    )
    .unwrap();
    let failure = runtime.run_step(0).unwrap_err();
    assert_eq!(failure.message, "ValueError: no luck");
    assert!(failure.traceback.unwrap().contains("line 4, in bad"));
    assert_eq!(runtime.run_step(1).unwrap_err().message, "SystemExit: enough");
    assert_eq!(runtime.run_step(2).unwrap_err().message, "KeyboardInterrupt");
    runtime.run_step(3).unwrap();
}

/// Runs a closure in a forked worker and returns whether it succeeded there.
fn in_worker(runtime: &mut PythonRuntime, work: impl FnOnce(&mut PythonRuntime) -> bool) -> bool {
    match runtime.fork().unwrap() {
        ForkSide::Worker => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(runtime)));
            std::process::exit(i32::from(!done.unwrap_or(false)))
        }
        ForkSide::Zygote(pid) => {
            let pid = Pid::from_raw(i32::try_from(pid).unwrap());
            matches!(waitpid(pid, None).unwrap(), WaitStatus::Exited(_, 0))
        }
    }
}

#[test]
fn forking_runs_pythons_own_hooks_and_leaves_the_zygote_as_it_was() {
    if !alone() {
        return;
    }
    let mut runtime = load(
        "import forkprint, os, threading\n\
         zygote, hooks = os.getpid(), []\n\
         os.register_at_fork(before=lambda: hooks.append('before'), after_in_child=lambda: hooks.append('child'))\n\
         @forkprint.step\n\
         def in_worker():\n\
         \x20   assert os.getpid() != zygote\n\
         \x20   assert hooks == ['before', 'child'], hooks\n\
         \x20   assert threading.current_thread() is threading.main_thread()\n\
         @forkprint.step\n\
         def in_zygote(): assert hooks == ['before'] and os.getpid() == zygote\n",
    )
    .unwrap();
    assert!(in_worker(&mut runtime, |worker| worker.run_step(0).is_ok()));
    runtime.run_step(1).unwrap();
}

#[test]
fn the_interpreter_is_shut_down_in_the_worker_alone() {
    if !alone() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("atexit-ran");
    let mut runtime = load(&format!(
        "import forkprint, atexit\n\
         atexit.register(lambda: open({:?}, 'w').close())\n\
         @forkprint.step(finalize=True)\n\
         def end(): pass\n\
         @forkprint.step\n\
         def after(): pass\n",
        mark.display().to_string()
    ))
    .unwrap();
    assert!(in_worker(&mut runtime, |worker| {
        let ended = worker.run_step(0).is_ok() && mark.exists();
        let guarded = worker.run_step(1).is_err_and(|failure| failure.message.contains("shut down"));
        ended && guarded && worker.fork().is_err() && worker.version().starts_with("CPython")
    }));
    runtime.run_step(1).unwrap();
}

/// Runs itself once more in a process whose output can be read.
#[test]
fn what_a_workload_prints_is_printed_once() {
    if !alone() {
        return;
    }
    const PATH_VARIABLE: &str = "FORKPRINT_TEST_WORKLOAD";
    if let Some(path) = std::env::var_os(PATH_VARIABLE) {
        let mut runtime = PythonRuntime::load(Path::new(&path), &[]).unwrap();
        let step = |worker: &mut PythonRuntime| worker.run_step(0).is_ok();
        assert!(in_worker(&mut runtime, step) && in_worker(&mut runtime, step));
        return;
    }
    let workload = workload(
        "import forkprint, sys\n\
         print('built', end='')\n\
         @forkprint.step\n\
         def say(): print(' and used')\n",
    );
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_a_workload_prints_is_printed_once", "--nocapture"])
        .env(PATH_VARIABLE, &workload.path)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.matches("built").count(), 1, "{printed}");
    assert_eq!(printed.matches("and used").count(), 2, "{printed}");
}

#[test]
fn the_standard_library_is_that_of_the_linked_python() {
    if !alone() {
        return;
    }
    let mut runtime = load(
        "import forkprint, sys, os, sysconfig\n\
         @forkprint.step\n\
         def check():\n\
         \x20   assert '%d.%d' % sys.version_info[:2] in os.__file__, os.__file__\n\
         \x20   assert os.path.exists(sys.executable), sys.executable\n\
         \x20   import _ctypes, _json\n\
         \x20   assert sysconfig.get_config_var('VERSION') == '%d.%d' % sys.version_info[:2]\n",
    )
    .unwrap();
    runtime.run_step(0).unwrap();
}
