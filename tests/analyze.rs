//! Real gunicorn on loopback: what is measured, what is told, and that nothing is left behind.

#[allow(dead_code, reason = "other tests use the rest")]
mod gunicorn_project;
#[path = "common/skip.rs"]
mod skip;
#[path = "common/witness.rs"]
mod witness;

use gunicorn_project::Project;
use serde_json::Value;

/// Answers `GET /` by reading every object of a list; other paths fail in ways of their own.
const APP: &str = r#"
import os, signal, time

OBJECTS = [object() for _ in range(100_000)]

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path == "/orphan":
        os.kill(os.getppid(), signal.SIGKILL)
    if path == "/hang":
        time.sleep(600)
    if path == "/fail":
        raise ValueError("no such thing")
    for _ in OBJECTS:
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"#;

const CONFIG: &str = "wsgi_app = 'app:app'\nworkers = 2\npreload_app = True\n";
const LOAD: &str = "[load]\ncount = 20\nconcurrency = 2\nmilestones = [1]\n";

fn project(config: &str) -> Option<Project> {
    let project = Project::new()?;
    project.write("app.py", APP).write("gunicorn.conf.py", config).write("load.toml", LOAD);
    Some(project)
}

fn codes(recording: &Value) -> Vec<&str> {
    recording["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

#[test]
fn reading_a_preloaded_list_breaks_its_pages_in_every_worker() {
    let Some(project) = project(CONFIG) else { return };
    let recording = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]).success();
    let steps = recording["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fork", "1 request", "20 requests"]);
    assert_eq!(steps[2]["requests"], 20);
    // 100,000 objects of 16 bytes, 253 to a page. Some pages broke already when the worker started.
    let objects = 300;
    let broken =
        |step: usize, worker: usize| steps[step]["workers"][worker]["broken_by_worker"].as_u64().unwrap();
    let rose =
        |step: usize| (0..2).filter(|&worker| broken(step, worker) > broken(0, worker) + objects).count();
    assert_eq!((rose(1), rose(2)), (1, 2), "{steps:#?}");
    assert_eq!(codes(&recording), ["FP002", "FP008"]);
    assert_eq!(recording["about"]["complete"], true);
    assert!(recording["about"]["runtime_version"].as_str().unwrap().starts_with("gunicorn "));
    project.assert_nothing_left();
}

#[test]
fn without_preload_little_is_inherited_and_the_finding_says_what_workers_hold() {
    let Some(project) = project("wsgi_app = 'app:app'\nworkers = 2\n") else { return };
    let recording = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]).success();
    assert_eq!(codes(&recording), ["FP001"]);
    assert!(recording["findings"][0]["evidence"].as_str().unwrap().contains("each holds at least"));
    let worker = &recording["steps"][0]["workers"][0];
    assert!(worker["fresh"].as_u64().unwrap() > 390, "{worker}");
}

#[test]
fn a_worker_that_crashes_is_told_and_its_successor_is_measured() {
    let Some(project) = project(CONFIG) else { return };
    project.write("load.toml", "[load]\ncount = 10\nmilestones = [5]\n[[request]]\npath = '/'\nweight = 4\n[[request]]\npath = '/crash'\n");
    let recording = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]).success();
    let workers = recording["workers"].as_array().unwrap();
    let killed = workers.iter().filter(|worker| worker["fate"]["signal"] == "SIGSEGV").count();
    assert_eq!((workers.len(), killed), (4, 2), "{workers:?}");
    assert!(codes(&recording).contains(&"FP900") && codes(&recording).contains(&"FP901"));
    assert_eq!(recording["steps"][2]["workers"].as_array().unwrap().len(), 2);
    project.assert_nothing_left();
}

#[test]
fn workers_that_reach_their_age_are_replaced_and_noted() {
    let Some(project) = project("wsgi_app = 'app:app'\nworkers = 2\npreload_app = True\nmax_requests = 3\n")
    else {
        return;
    };
    let recording = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]).success();
    assert!(recording["workers"].as_array().unwrap().len() > 2);
    let notes = recording["about"]["notes"].to_string();
    assert!(notes.contains("left by themselves and were replaced"), "{notes}");
    assert!(!codes(&recording).contains(&"FP900"));
}

#[test]
fn a_worker_that_hangs_is_killed_by_gunicorn_and_told() {
    let Some(project) = project(&format!("{CONFIG}timeout = 1\n")) else { return };
    project.write("load.toml", "[load]\ncount = 2\n[[request]]\npath = '/'\n[[request]]\npath = '/hang'\n");
    let outcome = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]);
    assert_eq!(outcome.code, Some(2), "half of the requests failed");
    let recording = outcome.recording();
    assert!(
        codes(&recording).contains(&"FP900") && codes(&recording).contains(&"FP901"),
        "{}",
        recording["findings"]
    );
    project.assert_nothing_left();
}

#[test]
fn a_master_that_dies_ends_the_measurement_but_keeps_what_it_found() {
    let Some(project) = project(CONFIG) else { return };
    project.write("load.toml", "[load]\ncount = 100\nmilestones = [3]\n[[request]]\npath = '/'\nweight = 9\n[[request]]\npath = '/orphan'\n");
    let outcome = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]);
    assert_eq!(outcome.code, Some(2));
    let recording = outcome.recording();
    assert_eq!(recording["about"]["complete"], false);
    assert_eq!(recording["steps"].as_array().unwrap().len(), 2);
    assert!(codes(&recording).contains(&"FP902"), "{}", recording["findings"]);
    project.assert_nothing_left();
}

#[test]
fn an_application_that_takes_too_long_to_load_is_given_up() {
    let Some(project) = project("wsgi_app = 'slow:app'\nworkers = 2\npreload_app = True\n") else { return };
    project.write("slow.py", "import time\nprint('waiting for the database', flush=True)\ntime.sleep(600)\n");
    let error = project.analyze(&["gunicorn.conf.py", "--timeout", "2"]).failure();
    assert!(
        error.contains("did not fork a worker in time") && error.contains("waiting for the database"),
        "{error}"
    );
    project.assert_nothing_left();
}

#[test]
fn the_shop_breaks_half_of_its_catalogue_without_changing_it() {
    let Some(project) = Project::new() else { return };
    let recording = project.analyze_shop(&["--witness", "none"]).success();
    let steps = recording["steps"].as_array().unwrap();
    let sum = |step: &Value, field: &str| -> u64 {
        step["workers"].as_array().unwrap().iter().map(|worker| worker[field].as_u64().unwrap()).sum()
    };
    let (first, last) = (&steps[0], &steps[steps.len() - 1]);
    assert_eq!((last["requests"].as_u64(), last["workers"].as_array().unwrap().len()), (Some(100), 3));
    assert!(sum(first, "broken") * 20 < sum(first, "inherited"), "little is broken at the fork: {first}");
    assert!(
        sum(last, "broken") * 3 > sum(last, "inherited"),
        "a worker or more has read the catalogue: {last}"
    );
    assert!(sum(last, "ghost") * 10 > sum(last, "broken") * 8, "requests only read: {last}");
    assert_eq!(recording["about"]["title"], "gunicorn_shop");
    assert!(recording["about"]["description"].as_str().unwrap().starts_with("A production-like"));
}

#[test]
fn the_shop_is_told_which_line_breaks_whose_pages() {
    let Some(project) = Project::new() else { return };
    if !witness::can_be_had() {
        return;
    }
    let recording = project.analyze_shop(&[]).success();
    assert_eq!(recording["about"]["witness"], "sigtrap");
    assert_eq!(recording["about"]["notes"].as_array().unwrap().len(), 0, "{}", recording["about"]["notes"]);
    let accounts = &recording["reconciliation"];
    let count = |name: &str| accounts[name].as_u64().unwrap();
    let parts = ["explained", "kernel_writes", "floor", "unexplained"];
    assert_eq!(count("broken"), parts.iter().map(|part| count(part)).sum::<u64>(), "{accounts}");
    assert_eq!(count("lost_samples"), 0, "{accounts}");
    assert!(count("unexplained") * 100 < count("broken") * 3, "{accounts}");
    let top = |by: &str| recording["explained"][by][0].clone();
    let line = top("by_line");
    let source = std::fs::read_to_string(line["file"].as_str().unwrap()).unwrap();
    let number = usize::try_from(line["line"].as_u64().unwrap()).unwrap();
    assert!(source.lines().nth(number - 1).unwrap().contains("for product in CATALOGUE if lot in"), "{line}");
    assert_eq!(line["cause"], "refcount");
    assert!(
        top("by_owner")["name"].as_str().unwrap().starts_with("shop.CATALOGUE[*]"),
        "{}",
        top("by_owner")
    );
    assert_eq!(top("by_module")["name"], "shop");
}

#[test]
fn workers_find_nothing_of_the_agent_in_their_environment() {
    let Some(project) = project(CONFIG) else { return };
    let app = r#"
import os, sys

def app(environ, start_response):
    open("found", "w").write(repr([os.environ.get("LD_PRELOAD"), "_forkprint_agent" in sys.modules]))
    start_response("200 OK", [])
    return [b"fine"]
"#;
    project.write("app.py", app).write("load.toml", "[load]\ncount = 1\n");
    for before in [None, Some("/no/such.so:/nor/this.so")] {
        let recording = project
            .analyze_with(&["gunicorn.conf.py", "--load", "load.toml"], |command| match before {
                Some(before) => command.env("LD_PRELOAD", before),
                None => command.env_remove("LD_PRELOAD"),
            })
            .success();
        assert_eq!(recording["steps"].as_array().unwrap().len(), 2);
        let told = before.map_or("None".to_owned(), |before| format!("'{before}'"));
        assert_eq!(project.read("found"), format!("[{told}, False]"));
    }
}

#[test]
fn a_server_into_which_nothing_can_be_preloaded_is_watched_from_outside_and_says_so() {
    let Some(project) = project(CONFIG) else { return };
    if !witness::can_be_had() {
        return;
    }
    let python = project.python_without_preloads();
    let arguments = ["gunicorn.conf.py", "--load", "load.toml", "--python", &python];
    let recording = project.analyze(&arguments).success();
    assert_eq!(recording["about"]["witness"], "ring");
    let notes = recording["about"]["notes"].to_string();
    assert!(
        notes.contains("'ring' instead of 'sigtrap', because the agent could not be preloaded"),
        "{notes}"
    );
    let error = project.analyze(&[&arguments[..], &["--witness", "sigtrap"]].concat()).failure();
    assert!(
        error.contains("witness 'sigtrap' does not work here") && error.contains("--witness ring"),
        "{error}"
    );
    let recording = project.analyze(&[&arguments[..], &["--witness", "none"]].concat()).success();
    assert_eq!(
        (&recording["about"]["witness"], recording["about"]["notes"].as_array().unwrap().len()),
        (&"none".into(), 0)
    );
    project.assert_nothing_left();
}

#[test]
fn a_load_that_mostly_fails_is_an_error_with_the_answer_after_the_report() {
    let Some(project) = project(CONFIG) else { return };
    let mixed = |served, failing| {
        project.write("load.toml", &format!("[load]\ncount = 8\n[[request]]\npath = '/'\nweight = {served}\n[[request]]\npath = '/fail'\nweight = {failing}\n"));
        project.analyze(&["gunicorn.conf.py", "--load", "load.toml"])
    };
    let outcome = mixed(1, 1);
    let recording = outcome.recording();
    assert_eq!(codes(&recording), ["FP901", "FP002", "FP008"]);
    assert_eq!(recording["about"]["complete"], true);
    let error = outcome.failure();
    for part in [
        "served 4 of 8 requests",
        "where: GET /fail",
        "4 with status 500; the first got status 500\n         Internal Server Error\n",
        "fix:   describe requests",
    ] {
        assert!(error.contains(part), "'{part}' is not in:\n{error}");
    }
    assert_eq!(codes(&mixed(5, 3).success())[0], "FP901");
    project.assert_nothing_left();
}

#[test]
fn an_application_that_raises_at_import_is_quoted_with_and_without_preload() {
    for preload in ["True", "False"] {
        let Some(project) =
            project(&format!("wsgi_app = 'broken:app'\nworkers = 2\npreload_app = {preload}\n"))
        else {
            return;
        };
        project.write("broken.py", "raise ValueError('no database')\n");
        let error = project.analyze(&["gunicorn.conf.py"]).failure();
        assert!(
            error.contains("gunicorn ended with exit status") && error.contains("ValueError: no database"),
            "{error}"
        );
        project.assert_nothing_left();
    }
}

#[test]
fn an_application_that_is_not_there_is_named() {
    let Some(project) = project("wsgi_app = 'nowhere:app'\npreload_app = True\n") else { return };
    let error = project.analyze(&["gunicorn.conf.py"]).failure();
    assert!(error.contains("fix:   start forkprint in the folder that holds nowhere"), "{error}");
}

#[test]
fn what_gunicorn_refuses_is_told_in_its_words() {
    let Some(project) = project(CONFIG) else { return };
    let cases = [
        ("workers = -1\n", vec![], "Value must be positive: -1"),
        ("def (\n", vec![], "SyntaxError"),
        ("import os\nbind = '0.0.0.0:' + os.environ['NO_SUCH_PORT']\n", vec![], "KeyError: 'NO_SUCH_PORT'"),
        ("bind = '127.0.0.1:http'\n", vec![], "'http' is not a valid port number"),
        ("worker_class = 'sink'\n", vec![], "class uri 'sink' invalid or not found"),
        ("raw_env = ['NOVALUE']\n", vec![], "environment setting 'NOVALUE' invalid"),
        (CONFIG, vec!["--", "--bogus"], "unrecognized arguments: --bogus"),
        ("workers = 2\n", vec![], "the configuration does not set wsgi_app"),
        (CONFIG, vec!["--", "--version"], "arguments after -- must start a server"),
    ];
    for (config, extra, expected) in cases {
        project.write("gunicorn.conf.py", config);
        let error = project.analyze(&[vec!["gunicorn.conf.py"], extra].concat()).failure();
        assert!(error.contains(expected), "{config}: {error}");
    }
}

#[test]
fn a_port_that_is_no_number_is_refused_like_gunicorn_does() {
    let Some(project) = project(CONFIG) else { return };
    let error = project.analyze_with(&["gunicorn.conf.py"], |command| command.env("PORT", "http")).failure();
    assert!(error.contains("'http' is not a valid port number"), "{error}");
}

#[test]
fn gunicorn_cmd_args_count() {
    let Some(project) = project("wsgi_app = 'app:app'\n") else { return };
    let environment = "--workers=3 --preload --max-requests=20";
    let recording = project
        .analyze_with(&["gunicorn.conf.py", "--no-run"], |command| {
            command.env("GUNICORN_CMD_ARGS", environment)
        })
        .success();
    assert_eq!(codes(&recording), ["FP002", "FP008"]);
    assert!(recording["findings"][1]["evidence"].as_str().unwrap().contains("max_requests = 20"));
    assert_eq!(recording["steps"].as_array().unwrap().len(), 0);
}

#[test]
fn a_misspelled_setting_is_told_and_a_variable_of_the_configuration_is_not() {
    let sound =
        "wsgi_app = 'app:app'\nworkers = 2\npreload_app = True\nmax_requests = 900\nimport gc; gc.freeze()\n";
    let cases = [
        ("wrokers = 3\n", "'wrokers', did you mean 'workers'?"),
        ("if True:\n    TIMEOUT: int = 9\n", "'TIMEOUT', did you mean 'timeout'?"),
        ("preload = True\n", "'preload', did you mean 'preload_app'?"),
        ("def on_start(server):\n    pass\n", "'on_start', did you mean 'on_starting'?"),
    ];
    let Some(project) = project(CONFIG) else { return };
    for (lines, expected) in cases {
        project.write("gunicorn.conf.py", &format!("{sound}{lines}"));
        let recording = project.analyze(&["gunicorn.conf.py", "--no-run"]).success();
        assert_eq!(codes(&recording), ["FP014"]);
        assert!(recording["findings"][0]["title"].as_str().unwrap().contains(expected), "{recording}");
    }
    let own = "import threading as thread\nworker = 1\nworkers = worker * 2\nregion = 'eu'\n_timeout = 1\ndef when_ready(server):\n    binding = 3\n";
    project.write("gunicorn.conf.py", &format!("{sound}{own}"));
    let recording = project.analyze(&["gunicorn.conf.py", "--no-run"]).success();
    assert!(codes(&recording).is_empty(), "{}", recording["findings"]);
}

#[test]
fn a_freeze_in_the_configuration_is_seen_though_not_in_a_comment() {
    let Some(project) = project(CONFIG) else { return };
    let frozen = format!("import gc as g\n{CONFIG}def when_ready(server):\n    g.freeze()\n");
    project.write("gunicorn.conf.py", &frozen);
    assert_eq!(codes(&project.analyze(&["gunicorn.conf.py", "--no-run"]).success()), ["FP008"]);
    assert_eq!(codes(&project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]).success()), ["FP008"]);
    project.write("gunicorn.conf.py", &format!("{CONFIG}# gc.freeze()\n"));
    assert_eq!(codes(&project.analyze(&["gunicorn.conf.py", "--no-run"]).success()), ["FP002", "FP008"]);
}

#[test]
fn an_interpreter_without_gunicorn_is_told_how_to_get_it() {
    let Some(project) = project(CONFIG) else { return };
    let Some(bare) = gunicorn_project::python_without_gunicorn() else { return };
    let error = project.analyze(&["gunicorn.conf.py", "--python", &bare]).failure();
    assert!(
        error.contains("gunicorn is not installed") && error.contains("-m pip install gunicorn"),
        "{error}"
    );
    let error = project.analyze(&["gunicorn.conf.py", "--python", "/no/such/python"]).failure();
    assert!(error.contains("/no/such/python") && error.contains("--python"), "{error}");
}

#[test]
fn a_configuration_or_load_file_that_is_missing_or_wrong_is_named() {
    let Some(project) = project(CONFIG) else { return };
    let cases = [
        (&["nope.py"][..], ["nope.py", "No such file", "fix:   check the path: a configuration is"]),
        (&["."], ["where: .", "it is a folder", "fix:   name the configuration in it"]),
        (
            &["gunicorn.conf.py", "--load", "nope.toml"],
            ["nope.toml", "No such file", "fix:   check the path"],
        ),
    ];
    for (arguments, parts) in cases {
        let error = project.analyze(arguments).failure();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    project.write("load.toml", "[load]\ncuont = 3\n");
    let error = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]).failure();
    assert!(error.contains("unknown field `cuont`") && error.contains("line 2"), "{error}");
}

#[test]
fn ctrl_c_keeps_what_was_measured_and_leaves_nobody_behind() {
    let Some(project) = project(CONFIG) else { return };
    project.write("load.toml", "[load]\ncount = 100_000_000\nmilestones = [1]\n");
    let mut running = project.start(&["gunicorn.conf.py", "--load", "load.toml"]);
    let workers = running.wait_for_workers(2);
    running.wait_for_requests();
    running.signal("INT");
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(2));
    assert_eq!(outcome.recording()["about"]["complete"], false);
    assert!(outcome.recording()["steps"].as_array().unwrap().len() >= 2);
    assert!(workers.iter().all(|&pid| gunicorn_project::is_gone(pid)), "{workers:?}");
    project.assert_nothing_left();
}

#[test]
fn ctrl_c_while_the_application_loads_ends_at_once() {
    let Some(project) = project("wsgi_app = 'slow:app'\nworkers = 2\npreload_app = True\n") else { return };
    project.write("slow.py", "import time\ntime.sleep(600)\n");
    let mut running = project.start(&["gunicorn.conf.py"]);
    running.wait_for_master();
    running.signal("INT");
    let error = running.finish().failure();
    assert!(error.contains("interrupted"), "{error}");
    project.assert_nothing_left();
}

#[test]
fn threads_that_the_application_starts_at_import_are_seen_in_the_master() {
    let Some(project) = project(CONFIG) else { return };
    let thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n";
    project.write("app.py", &format!("{APP}\n{thread}"));
    let recording = project.analyze(&["gunicorn.conf.py", "--load", "load.toml"]).success();
    assert_eq!(codes(&recording), ["FP002", "FP008", "FP011"]);
    assert!(recording["findings"][2]["evidence"].as_str().unwrap().contains("2 threads"));
}

#[test]
fn a_configuration_may_be_a_module_and_the_command_may_say_more() {
    let Some(project) = project(CONFIG) else { return };
    project.write("production.py", "workers = 7\nraw_env = ['TOKEN=hunter2']\n");
    let arguments = [
        "python:production",
        "--load",
        "load.toml",
        "-w",
        "2",
        "--",
        "--preload",
        "-e",
        "KEY=hunter3",
        "app:app",
    ];
    let recording = project.analyze_with(&arguments, |command| command.env("PYTHONPATH", ".")).success();
    assert_eq!(recording["workers"].as_array().unwrap().len(), 2);
    assert_eq!(recording["about"]["title"], "python:production");
    assert!(!recording.to_string().contains("hunter"), "secrets stay out of recordings");
}

#[test]
fn when_forkprint_is_killed_the_kernel_takes_the_whole_family_along() {
    let Some(project) = project(CONFIG) else { return };
    project.write("load.toml", "[load]\ncount = 100_000_000\nmilestones = [1]\n");
    let mut running = project.start(&["gunicorn.conf.py", "--load", "load.toml"]);
    running.wait_for_workers(2);
    running.signal("KILL");
    running.finish();
    project.assert_nothing_left();
}

#[test]
fn an_ordinary_user_measures_too() {
    let Some(project) = project(CONFIG) else { return };
    let Some(python) = gunicorn_project::python_for_everyone() else { return };
    let arguments = ["gunicorn.conf.py", "--load", "load.toml", "--python", &python];
    let recording = project.analyze_as_nobody(&arguments).success();
    assert_ne!(recording["about"]["uid"], 0);
    assert_eq!(recording["about"]["rung"], "exclusive");
    if witness::can_be_had() {
        assert_eq!(recording["about"]["witness"], "sigtrap");
    }
    let workers = recording["steps"][2]["workers"].as_array().unwrap();
    assert!(workers.iter().all(|worker| worker["broken"].as_u64().unwrap() > 390), "{workers:?}");
}
