//! Variants of a program: another text under the file's own name, and another environment.

use forkprint::family::recording::Fate;
use forkprint::record::progress::Progress;
use forkprint::record::server::{AnalyzeOptions, analyze};
use forkprint::record::{MeasureOptions, RunOptions, RunOutcome, run};
use forkprint::runtimes::Workload;
use forkprint::servers::gunicorn::{Invocation, Settings};
use forkprint::servers::load::Plan;
use forkprint::variant::Variant;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn run_workload(path: &Path, variant: Variant) -> RunOutcome {
    let options = RunOptions {
        workload: Workload { variant, ..Workload::new(path) },
        workers: 1,
        timeout: Duration::from_secs(60),
        rung: None,
        witness: None,
        self_command: vec![env!("CARGO_BIN_EXE_forkprint").into()],
        command: String::new(),
        mute: true,
    };
    run(&options, &Progress::silent()).unwrap()
}

fn environment() -> Vec<(String, String)> {
    vec![("FORKPRINT_TEST_VARIANT".into(), "of the zygote".into())]
}

#[test]
fn a_workload_runs_another_text_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.py");
    let own = "import forkprint\n\n@forkprint.step\ndef own():\n    pass\n";
    fs::write(&path, own).unwrap();
    // Longer than any argument of a command may be.
    let long = "# padding\n".repeat(50_000);
    let text = format!(
        "import forkprint, os, sys\nassert os.environ['FORKPRINT_TEST_VARIANT'] == 'of the zygote'\nassert __file__.endswith('/rows.py')\n\n@forkprint.step\ndef tried():\n    raise ValueError(sys._getframe().f_code.co_filename)\n{long}"
    );
    let variant = Variant { text: Some(text), environment: environment() };
    let outcome = run_workload(&path, variant);
    assert_eq!(outcome.recording.steps[1].name, "tried");
    let failed = format!("ValueError: {}", path.canonicalize().unwrap().display());
    assert!(
        matches!(&outcome.recording.workers[0].fate, Fate::Failed { message, .. } if *message == failed),
        "{:?}",
        outcome.recording.workers
    );
    let outcome = run_workload(&path, Variant::default());
    assert_eq!(outcome.recording.steps[1].name, "own");
    assert!(outcome.course.startup_seconds > 0.0 && outcome.course.throughput.is_some());
    assert_eq!((outcome.course.zygote_threads, fs::read_to_string(&path).unwrap().as_str()), (1, own));
}

fn python() -> Option<PathBuf> {
    let python = std::env::var("FORKPRINT_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import gunicorn"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python.into());
    }
    eprintln!("SKIPPED: {python} has no gunicorn; name one that has in FORKPRINT_TEST_PYTHON");
    None
}

#[test]
fn gunicorn_reads_another_text_under_the_configurations_own_name() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let own = format!("wsgi_app = 'app:app'\nworkers = 1\npreload_app = True\nchdir = {:?}\n", at(""));
    fs::write(at("production.py"), &own).unwrap();
    fs::write(at("app.py"), "import os\nSEEN = os.environ['FORKPRINT_TEST_VARIANT']\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [SEEN.encode()]\n").unwrap();
    let text = format!(
        "'''tried'''\nimport gc, sys\n{own}workers = 3\nassert __file__.endswith('/production.py'), __file__\nassert sys._getframe().f_code.co_filename == __file__\ndef when_ready(server):\n    gc.freeze()\n"
    );
    let file = at("production.py");
    let as_file = (file.clone(), Vec::new());
    let as_url = (format!("file:{file}"), Vec::new());
    // gunicorn looks for modules in the folder that it is started in.
    std::env::set_current_dir(folder.path()).unwrap();
    let as_module = ("python:production".to_owned(), Vec::new());
    for (config, extra) in [as_file, as_url, as_module] {
        let variant = Variant { text: Some(text.clone()), environment: environment() };
        let invocation = Invocation { python: python.clone(), config: config.clone(), extra, variant };
        let settings = Settings::load(&invocation).unwrap();
        assert_eq!((settings.workers, settings.description.as_str()), (3, "tried"), "{config}");
        assert_eq!(settings.config_gc_calls, ["freeze"]);
        let found = settings.config_file.unwrap().canonicalize().unwrap();
        assert_eq!(found, Path::new(&file).canonicalize().unwrap(), "{config}");
        let options = AnalyzeOptions {
            invocation: invocation.clone(),
            plan: Plan::parse("[load]\ncount = 6").unwrap(),
            measure: MeasureOptions::default(),
            patience: Duration::from_secs(60),
            command: String::new(),
        };
        let outcome = analyze(&options, &Progress::silent()).unwrap();
        assert!(outcome.error.is_none(), "{config}: {:?}", outcome.error);
        assert_eq!(outcome.recording.workers.len(), 3, "{config}");
        assert!(outcome.course.at_fork.unwrap().frozen && outcome.course.throughput.unwrap() > 0.0);
        let today = Invocation { variant: Variant::default(), ..invocation };
        assert_eq!(Settings::load(&today).unwrap().workers, 1, "{config}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), own);
}
