//! `forkprint advise` on real programs: what helps is found, what does not is said, what breaks is told,
//! and nothing of the user's is touched.

#[allow(dead_code, reason = "other tests use the rest")]
mod gunicorn_project;

use gunicorn_project::Project;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const FORKPRINT: &str = env!("CARGO_BIN_EXE_forkprint");
const WORKLOADS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/python");

const APP: &str = r#"
OBJECTS = [object() for _ in range(100_000)]

def app(environ, start_response):
    for _ in OBJECTS:
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"#;
const LOAD: &str = "[load]\ncount = 12\nconcurrency = 2\nmilestones = [12]\n";

fn forkprint(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(FORKPRINT).current_dir(folder).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}\n{stderr}"))
}

fn failure(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// A built-in workload in a folder of its own.
fn workload(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(Path::new(WORKLOADS).join(name), folder.path().join(name)).unwrap();
    folder
}

fn variant<'a>(advice: &'a Value, name: &str) -> &'a Value {
    let variants = advice["variants"].as_array().unwrap();
    variants
        .iter()
        .find(|variant| variant["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {variants:#?}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

/// Distinct frames at the end of a workload, as `forkprint run` measures them, in bytes.
fn family(folder: &Path, name: &str) -> f64 {
    let recording = json(&forkprint(folder, &["run", name, "--format", "json", "--witness", "none"]));
    number(&recording["steps"].as_array().unwrap().last().unwrap()["ledger"]["distinct_frames"]) * 4096.0
}

#[test]
fn what_the_collector_breaks_a_freeze_gives_back_and_the_diff_does_what_was_measured() {
    let folder = workload("gc_collect.py");
    let file = folder.path().join("gc_collect.py");
    let before = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
    let arguments =
        ["advise", "gc_collect.py", "--only", "FP002", "--format", "json", "--patch", "better.diff"];
    let advice = json(&forkprint(folder.path(), &arguments));
    assert_eq!(before, (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap()));

    let names: Vec<&Value> =
        advice["variants"].as_array().unwrap().iter().map(|variant| &variant["name"]).collect();
    assert_eq!(names, ["today", "FP002"]);
    let freeze = variant(&advice, "FP002");
    assert_eq!((&freeze["verdict"], &freeze["rounds"]), (&"helps".into(), &3.into()));
    let recommended = &advice["recommended"];
    assert_eq!(recommended["codes"], serde_json::json!(["FP002"]));
    // 350,000 lists of 16 + 24 + 8 + 16 bytes with their headers are 5,000 pages at least, a worker.
    let saving = number(&recommended["saving"]["mean"]);
    assert!(saving > 2.0 * 5_000.0 * 4096.0, "{recommended}");
    assert!(number(&recommended["of_ghosts"]) > 0.9, "{recommended}");
    let waterfall = &advice["waterfall"];
    let steps: f64 =
        waterfall["steps"].as_array().unwrap().iter().map(|step| number(&step["saving"]["mean"])).sum();
    assert!(
        (number(&waterfall["today"]) - steps - number(&waterfall["remaining"])).abs() < 4096.0,
        "{waterfall}"
    );
    assert_eq!(
        (&advice["complete"], &advice["rounds"], &advice["workers"]),
        (&true.into(), &3.into(), &2.into())
    );

    let today = family(folder.path(), "gc_collect.py");
    let patched =
        Command::new("git").args(["apply", "-p0", "better.diff"]).current_dir(folder.path()).status();
    assert!(patched.unwrap().success(), "{}", fs::read_to_string(folder.path().join("better.diff")).unwrap());
    let really = today - family(folder.path(), "gc_collect.py");
    assert!((really - saving).abs() < 0.02 * saving, "advised {saving}, measured {really}");
}

#[test]
fn what_reference_counts_break_a_freeze_does_not_give_back() {
    let folder = workload("refcount_iteration.py");
    let arguments = ["advise", "refcount_iteration.py", "--only", "FP002,FP003", "--format", "json"];
    let advice = json(&forkprint(folder.path(), &arguments));
    let rules = advice["rules"].as_array().unwrap();
    let applies = |code: &str| rules.iter().find(|rule| rule["code"] == code).unwrap()["applies"] == true;
    assert!(!applies("FP002") || variant(&advice, "FP002")["verdict"] == "does_not_help", "{advice:#}");
    let version = advice["runtime_version"].as_str().unwrap();
    if !version.starts_with("CPython 3.12.") && !version.starts_with("CPython 3.13.") {
        // Nothing stops reference counts there, and that is what is said.
        assert!(!applies("FP003") && advice["recommended"].is_null(), "{advice:#}");
        return;
    }
    let immortal = variant(&advice, "FP003");
    assert_eq!(immortal["verdict"], "helps", "{immortal:#}");
    // Half a million strings: 7,800 pages in each of two workers.
    assert!(number(&immortal["saving"]["mean"]) > 0.95 * 2.0 * 7_800.0 * 4096.0, "{immortal:#}");
    assert_eq!(advice["recommended"]["codes"], serde_json::json!(["FP003"]));
    let counted = |name: &str| number(&variant(&advice, name)["split"]["refcount"]);
    assert!(counted("FP003") < 0.05 * counted("today"), "{advice:#}");
}

#[test]
fn a_remedy_that_breaks_the_program_is_reported_and_the_program_as_it_is_measured_all_the_same() {
    let Some(project) = Project::new() else { return };
    // What the application needs is set up after the fork: with preload_app it is loaded before.
    let config = "wsgi_app = 'app:app'\nworkers = 2\n\n\ndef post_fork(server, worker):\n    import os\n    os.environ['PART'] = str(worker.age)\n";
    let app = format!("import os\nPART = os.environ['PART']\n{APP}");
    project.write("app.py", &app).write("gunicorn.conf.py", config).write("load.toml", LOAD);
    let before = project.files();
    let arguments = ["gunicorn.conf.py", "--load", "load.toml", "--only", "FP001", "--rounds", "2"];
    let advice = project.advise(&arguments).success();
    assert_eq!(project.files(), before);
    let preload = variant(&advice, "FP001");
    assert_eq!(preload["verdict"], "failed");
    assert!(preload["failure"].as_str().unwrap().contains("KeyError: 'PART'"), "{preload}");
    let today = variant(&advice, "today");
    assert_eq!((&today["verdict"], &today["rounds"]), (&"baseline".into(), &2.into()));
    assert!(number(&today["fresh"]["mean"]) > 390.0 * 4096.0, "{today}");
    assert!(number(&today["startup_seconds"]["mean"]) > 0.0 && number(&today["throughput"]["mean"]) > 0.0);
    assert!(advice["recommended"].is_null() && advice["complete"] == true);
    project.assert_nothing_left();
}

#[test]
fn ctrl_c_keeps_the_rounds_that_were_measured() {
    let Some(project) = Project::new() else { return };
    let config = "wsgi_app = 'app:app'\nworkers = 1\npreload_app = True\n";
    project.write("app.py", APP).write("gunicorn.conf.py", config).write("load.toml", LOAD);
    let arguments = ["gunicorn.conf.py", "--load", "load.toml", "--only", "FP002", "--rounds", "1000"];
    let mut running = project.start_advising(&arguments);
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut masters = BTreeSet::new();
    // Two first runs, two rounds of two variants, and one more.
    while masters.len() < 7 {
        masters.insert(running.wait_for_master());
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal("INT");
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(2));
    let advice = outcome.recording();
    assert_eq!(advice["complete"], false);
    assert!(number(&variant(&advice, "today")["rounds"]) >= 2.0, "{advice:#}");
    project.assert_nothing_left();
}

#[test]
fn the_list_names_every_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let text = forkprint(folder.path(), &["advise", "--list"]);
    let rules = json(&forkprint(folder.path(), &["advise", "--list", "--format", "json"]));
    let rules = rules.as_array().unwrap();
    let codes: BTreeSet<&str> = rules.iter().map(|rule| rule["code"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), rules.len());
    for rule in rules {
        let of = |key: &str| rule[key].as_str().unwrap();
        assert!(!of("title").is_empty() && of("summary").ends_with('.'), "{rule}");
        assert!(String::from_utf8_lossy(&text.stdout).contains(&format!("{:7}{}", of("code"), of("title"))));
    }
}

#[test]
fn what_cannot_be_advised_on_is_told_what_can() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.toy", "print(1)");
    write("broken.py", "import forkprint\n@forkprint.step\ndef f(:\n");
    write("raises.py", "import forkprint\n1 / 0\n@forkprint.step\ndef f():\n    pass\n");
    write("better.diff", "");
    for (arguments, expected) in [
        (&["a.toy"][..], "fix:   forkprint lab --program a.toy"),
        (&["nope.py"], "No such file"),
        (&["broken.py"], "cannot be edited"),
        (&["raises.py"], "ZeroDivisionError"),
        (&["raises.py", "--load", "x.toml"], "a workload takes no load"),
        (&["raises.py", "--only", "FP777"], "no remedy has this code"),
        (&["raises.py", "--patch", "better.diff"], "refusing to overwrite"),
        (&["raises.py", "--rounds", "1"], "--rounds"),
        (&[], "CONFIG|WORKLOAD"),
    ] {
        let error = failure(&forkprint(folder.path(), &[&["advise"], arguments].concat()));
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    let Some(project) = Project::new() else { return };
    project.write("gunicorn.conf.py", "wsgi_app = 'app:app'\nworkers = 1\n").write("app.py", APP);
    project.write("load.toml", "[load]\ncount = 4\n[[request]]\npath = '/'\nmethod = 'POST'\nbody = '{}'\n");
    project.write("app.py", "def app(environ, start_response):\n    raise ValueError('no such thing')\n");
    let error = project.advise(&["gunicorn.conf.py", "--load", "load.toml"]).failure();
    assert!(error.contains("the application served 0 of 4 requests"), "{error}");
    let Some(bare) = gunicorn_project::python_without_gunicorn() else { return };
    let error = project.advise(&["gunicorn.conf.py", "--python", &bare]).failure();
    assert!(error.contains("gunicorn is not installed"), "{error}");
}
