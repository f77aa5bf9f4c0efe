//! Gunicorn configurations: exactly the rules that each calls for apply.

use crate::bench::Bench;
use crate::skip::skip;
use crate::{Judged, assert_applying, evidence, judge, mebibytes, reason, witness};
use forkprint::advise::rules::{Change, Edit, Evidence, Judgement, Target};
use forkprint::capture;
use forkprint::servers::gunicorn::{AtFork, Invocation, Settings};
use forkprint::variant::Variant;
use std::fs;
use std::process::{Command, Stdio};

/// Rules that the configurations below call for.
pub const EXPECTED: &[&str] =
    &["FP001", "FP002", "FP003", "FP005", "FP008", "FP009", "FP010", "FP011", "FP012", "FP013", "FP015"];

/// Reads every object of a list at each request.
const READS: &str = "
OBJECTS = [object() for _ in range(100_000)]
grown = []

def app(environ, start_response):
    for _ in OBJECTS:
        pass
    serve(environ['PATH_INFO'])
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'fine']

def serve(path):
    pass
";

/// Keeps 64 KiB of each request.
const GROWS: &str = "
def serve(path):
    grown.append(bytearray(1 << 16))
";

/// Loads 16 MiB at its first request, and runs a thread from the import on.
const LAZY_AND_THREADED: &str = "
import threading

done = threading.Event()
threading.Thread(target=done.wait, daemon=True).start()

def serve(path):
    if not grown:
        grown.append(b'x' * (16 << 20))
";

/// Writes down what the master is like as it forks: what gunicorn's own process says of itself.
const AT_FORK: &str = "
def pre_fork(server, worker):
    import gc, os
    state = '%d %d %d' % (gc.get_freeze_count() > 0, gc.isenabled(), len(os.listdir('/proc/self/task')))
    with open('at_fork', 'w') as file:
        file.write(state)
";

const LOAD: &str = "[load]\ncount = 60\nconcurrency = 2\nmilestones = [1, 20]\n";

fn python_with_gunicorn() -> Option<String> {
    let python = std::env::var("FORKPRINT_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(&python);
    command.args(["-c", "import gunicorn"]).stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Some(python);
    }
    skip(format!("{python} has no gunicorn; name one that has in FORKPRINT_TEST_PYTHON"));
    None
}

/// A measured configuration, judged.
struct Measured {
    judged: Judged,
    immortal: bool,
}

/// Measures and judges; `None`, and a skip, where that cannot be.
fn measured(config: &str, app: &str) -> Option<Measured> {
    let python = python_with_gunicorn()?;
    if !witness::can_be_had() {
        return None;
    }
    let bench = Bench::new().adjusted(|command| {
        command.env_remove("GUNICORN_CMD_ARGS").env_remove("PORT").env("PYTHONDONTWRITEBYTECODE", "1");
    });
    let folder = bench.path("");
    let text = format!(
        "chdir = {:?}\nwsgi_app = 'app:app'\nworkers = 2\ncontrol_socket_disable = True\n{config}{AT_FORK}",
        folder.to_str().unwrap()
    );
    fs::write(bench.path("gunicorn.conf.py"), &text).unwrap();
    fs::write(bench.path("app.py"), format!("{READS}{app}")).unwrap();
    fs::write(bench.path("load.toml"), LOAD).unwrap();
    let outcome = bench.forkprint(&[
        "analyze",
        "gunicorn.conf.py",
        "--python",
        &python,
        "--load",
        "load.toml",
        "--format",
        "json",
        "-o",
        "out.json",
        "--capture",
        "out.forkprint",
    ]);
    assert!(outcome.status.success(), "{outcome:?}");
    let recording = capture::read(&bench.path("out.forkprint")).unwrap();
    let config = bench.path("gunicorn.conf.py").to_str().unwrap().to_owned();
    let invocation =
        Invocation { python: python.into(), config, extra: Vec::new(), variant: Variant::default() };
    let settings = Settings::load(&invocation).unwrap();
    let told = fs::read_to_string(bench.path("at_fork")).unwrap();
    let told: Vec<usize> = told.split(' ').map(|number| number.parse().unwrap()).collect();
    let at_fork = AtFork { frozen: told[0] == 1, gc_enabled: told[1] == 1, threads: told[2] };
    let target = Target::Gunicorn { settings: &settings, at_fork: Some(&at_fork), text: &text };
    let paths = ["/".to_owned(), "/search?q=1".to_owned()];
    let judged =
        judge(&Evidence { target, recording: &recording, zygote_threads: at_fork.threads, paths: &paths });
    Some(Measured { judged, immortal: matches!(settings.python, (3, 12 | 13, _)) })
}

impl Measured {
    /// Exactly these rules apply, but for FP003 where objects cannot be made immortal.
    fn calls_for(&self, codes: &[&str]) {
        let codes: Vec<&str> =
            codes.iter().copied().filter(|code| self.immortal || *code != "FP003").collect();
        assert_applying(&self.judged, &codes);
    }

    fn change(&self, code: &str) -> &Change {
        match &self.judged[code] {
            Judgement::Applies { change: Some(change), .. } => change,
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn an_application_that_every_worker_loads_calls_for_preloading() {
    let Some(measured) = measured("", "") else { return };
    measured.calls_for(&["FP001"]);
    let [Edit::Set { name: "preload_app", value }] = &measured.change("FP001").edits[..] else { panic!() };
    assert_eq!(value, "True");
    let why = if measured.immortal { "FP001" } else { "3.12 and 3.13 only" };
    assert!(reason(&measured.judged, "FP003").contains(why));
}

#[test]
fn a_preloaded_application_that_grows_calls_for_freezing_immortality_and_an_age() {
    let Some(measured) = measured("preload_app = True\n", GROWS) else { return };
    measured.calls_for(&["FP002", "FP003", "FP008", "FP010"]);
    let seen = evidence(&measured.judged, "FP010");
    assert!(seen.contains("app.OBJECTS (mostly object)"), "{seen}");
    let names: Vec<&str> = measured
        .change("FP008")
        .edits
        .iter()
        .map(|edit| match edit {
            Edit::Set { name, value } => {
                assert!(value.parse::<u64>().unwrap() >= 50);
                *name
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["max_requests", "max_requests_jitter"]);
    let [Edit::Hook { signature: "when_ready(server)", lines }] = &measured.change("FP002").edits[..] else {
        panic!()
    };
    assert_eq!(lines.last().unwrap(), "gc.freeze()");
}

#[test]
fn a_careful_configuration_keeps_its_settings_and_leaves_politely() {
    const CONFIG: &str = "preload_app = True\nmax_requests = 10_000\nmax_requests_jitter = 1_000\n
def when_ready(server):
    import gc
    gc.freeze()
";
    let Some(measured) = measured(CONFIG, "") else { return };
    measured.calls_for(&["FP003", "FP009", "FP010"]);
    assert!(reason(&measured.judged, "FP002").contains("before the first fork already"));
    assert!(reason(&measured.judged, "FP008").contains("max_requests = 10000"));
    let [Edit::Hook { signature: "worker_exit(server, worker)", lines }] =
        &measured.change("FP009").edits[..]
    else {
        panic!()
    };
    assert_eq!(lines.last().unwrap(), "os._exit(0)");
}

#[test]
fn a_lazy_application_with_a_thread_and_no_collector_is_told_so() {
    let Some(measured) = measured("import gc\ngc.disable()\npreload_app = True\n", LAZY_AND_THREADED) else {
        return;
    };
    measured.calls_for(&["FP003", "FP005", "FP010", "FP011", "FP013"]);
    assert!(evidence(&measured.judged, "FP005").contains("'1 request'"));
    assert!(evidence(&measured.judged, "FP011").contains("2 threads"));
    assert!(reason(&measured.judged, "FP008").contains("age costs nothing"));
    let [Edit::Hook { lines, .. }] = &measured.change("FP005").edits[..] else { panic!() };
    assert!(lines.iter().any(|line| line.contains("[\"/\", \"/search?q=1\"]")), "{lines:?}");
}

#[test]
fn a_reloader_is_in_the_way_of_sharing() {
    let Some(measured) = measured("reload = True\n", "") else { return };
    measured.calls_for(&["FP012"]);
    assert!(reason(&measured.judged, "FP001").contains("reload = True"));
}

/// Reads objects of its own in the master, once its workers are there.
const BUSY_MASTER: &str = "preload_app = True
mine = [object() for _ in range(200_000)]

def when_ready(server):
    import gc, threading, time
    gc.freeze()

    def read():
        while len(server.WORKERS) < 2:
            time.sleep(0.01)
        for _ in mine:
            pass

    threading.Thread(target=read, daemon=True).start()
";

#[test]
fn a_master_that_works_after_the_fork_is_told() {
    let Some(measured) = measured(BUSY_MASTER, "") else { return };
    let seen = evidence(&measured.judged, "FP015");
    // 200,000 objects of 16 bytes, which no worker reads.
    assert!((3.0..8.0).contains(&mebibytes(seen)), "{seen}");
    assert!(evidence(&measured.judged, "FP011").contains("2 threads"));
    assert!(matches!(&measured.judged["FP015"], Judgement::Applies { change: None, .. }), "by hand");
}
