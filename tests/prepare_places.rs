//! `prepare_fork` where the package is not installed: in the interpreter that the program embeds, and in a
//! gunicorn that it measures. Collections tell whether it was done: they write to what is not frozen.

#[path = "common/bench.rs"]
mod bench;
#[allow(dead_code, reason = "another test uses the rest")]
mod gunicorn_project;

use bench::Bench;
use gunicorn_project::Project;
use serde_json::Value;

const WORKLOAD: &str = "
import gc
import forkprint

rows = [[str(number)] for number in range(100_000)]

PREPARE

@forkprint.step
def collect():
    gc.collect()
";

const APPLICATION: &str = "
import gc

rows = [[str(number)] for number in range(100_000)]


def app(environ, start_response):
    gc.collect()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'collected']
";

fn broken(recording: &Value) -> u64 {
    let last = recording["steps"].as_array().unwrap().last().unwrap();
    last["workers"][0]["broken"].as_u64().unwrap()
}

/// Preparing leaves less than half of the broken pages.
fn assert_prepared(before: u64, after: u64) {
    assert!(before > 600, "{before} pages of 100,000 lists");
    assert!(after * 2 < before, "{before} pages, {after} after prepare_fork()");
}

#[test]
fn a_workload_of_the_embedded_interpreter_is_prepared() {
    let bench = Bench::new();
    let run = |name: &str, prepare: &str| {
        std::fs::write(bench.path(name), WORKLOAD.replace("PREPARE", prepare)).unwrap();
        broken(&bench.forkprint(&["run", name, "-w", "1", "--format", "json"]).success())
    };
    let prepare = "
prepared = forkprint.prepare_fork()
assert isinstance(prepared, forkprint.Prepared)
assert prepared.step('warm').done and prepared.step('freeze').done, prepared
assert not hasattr(forkprint, 'family')
";
    assert_prepared(run("plain.py", ""), run("prepared.py", prepare));
}

#[test]
fn a_gunicorn_that_is_measured_is_prepared() {
    let Some(project) = Project::new() else { return };
    let settings = "preload_app = True\nworkers = 1\nwsgi_app = 'collecting:app'\n";
    project
        .write("collecting.py", APPLICATION)
        .write("plain.conf.py", settings)
        .write("prepared.conf.py", &format!("from forkprint.gunicorn import when_ready\n{settings}"))
        .write("load.toml", "[load]\ncount = 4\n[[request]]\npath = '/'\n");
    let analyze = |config: &str| {
        let outcome = project.analyze(&[config, "--load", "load.toml"]);
        broken(&outcome.success())
    };
    assert_prepared(analyze("plain.conf.py"), analyze("prepared.conf.py"));
}
