//! Rules on a configuration: what in it keeps workers from sharing memory, told with its line.

use super::settings::{Misspelled, Settings};
use crate::family::recording::Finding;

/// What the master showed at the first fork; a configuration that was not run has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtFork {
    /// Whether `gc.freeze()` had been called.
    pub frozen: bool,
    /// Whether the collector was on.
    pub gc_enabled: bool,
    /// Threads of the master.
    pub threads: usize,
}

/// A replaced worker costs a fork, and copies its hot pages anew; below this many requests it
/// spends its life doing that.
const YOUNG: u64 = 200;

type Rule = fn(&Settings, Option<&AtFork>) -> Option<Finding>;

const RULES: [Rule; 7] = [misspelled, no_preload, no_freeze, worker_age, threads, reload, collector_off];

/// Applies every rule.
pub fn lint(settings: &Settings, at_fork: Option<&AtFork>) -> Vec<Finding> {
    RULES.iter().filter_map(|rule| rule(settings, at_fork)).collect()
}

/// What the running server showed.
fn seen(code: &str, title: &str, evidence: &str, fix: &str) -> Finding {
    Finding { code: code.into(), title: title.into(), evidence: evidence.into(), fix: fix.into() }
}

/// What the configuration's text says, whatever the server does.
fn read(code: &str, title: &str, evidence: &str, fix: &str) -> Finding {
    seen(code, title, &format!("{evidence} (from the configuration; not measured)"), fix)
}

/// The one or the other.
fn told_by(at_fork: Option<&AtFork>) -> fn(&str, &str, &str, &str) -> Finding {
    if at_fork.is_some() { seen } else { read }
}

/// Whether workers are meant to inherit the application.
fn shares(settings: &Settings) -> bool {
    settings.preload_app && !settings.reload
}

fn misspelled(settings: &Settings, _: Option<&AtFork>) -> Option<Finding> {
    let first = settings.misspelled.first()?;
    let each =
        |say: fn(&Misspelled) -> String| settings.misspelled.iter().map(say).collect::<Vec<_>>().join(", ");
    let title = match settings.misspelled.len() {
        1 => format!("Unknown setting '{}', did you mean '{}'?", first.name, first.meant),
        count => {
            format!("{count} unknown settings, did you mean {}?", each(|name| format!("'{}'", name.meant)))
        }
    };
    let evidence = format!(
        "{}: gunicorn {} has no such setting or hook, and ignores what it does not know",
        each(|name| format!("'{}' in line {}", name.name, name.line)),
        settings.gunicorn_version
    );
    let fix = each(|name| format!("write {} instead of {}", name.meant, name.name));
    Some(read("FP014", &title, &evidence, &fix))
}

fn no_preload(settings: &Settings, at_fork: Option<&AtFork>) -> Option<Finding> {
    let pays = settings.workers > 1 && !settings.preload_app && !settings.reload;
    pays.then(|| {
        // A measurement adds what the workers hold.
        told_by(at_fork)(
            "FP001",
            "Every worker loads the application for itself",
            &format!("preload_app = False with workers = {}: what the application builds at import exists once a worker", settings.workers),
            "preload_app = True",
        )
    })
}

fn no_freeze(settings: &Settings, at_fork: Option<&AtFork>) -> Option<Finding> {
    if !shares(settings) || settings.implementation != "CPython" {
        return None;
    }
    let evidence = match at_fork {
        Some(AtFork { frozen: false, gc_enabled: true, .. }) => {
            "gc.freeze() was not called in the master before the first fork"
        }
        Some(_) => return None,
        None if settings.config_gc_calls.iter().any(|call| call == "freeze" || call == "disable") => {
            return None;
        }
        None => "the configuration does not call gc.freeze() (the application might)",
    };
    Some(told_by(at_fork)(
        "FP002",
        "A full collection in a worker would write every inherited object's header",
        &format!(
            "preload_app = True, and {evidence}; freezing stops the collector's writes, not those of reference counts"
        ),
        "def when_ready(server): import gc; gc.freeze()",
    ))
}

fn worker_age(settings: &Settings, _: Option<&AtFork>) -> Option<Finding> {
    if !shares(settings) {
        return None;
    }
    let (requests, jitter) = (settings.max_requests, settings.max_requests_jitter);
    match requests {
        0 => Some(read(
            "FP008",
            "Workers never give back the pages they copied",
            "max_requests = 0: a worker lives until it is stopped, and what it un-shares stays un-shared",
            "max_requests = 10_000; max_requests_jitter = 1_000",
        )),
        1..YOUNG => Some(read(
            "FP008",
            "Workers are replaced before they have settled",
            &format!(
                "max_requests = {requests} with max_requests_jitter = {jitter}: a fork, and the copies of its hot pages, every {requests} requests or so"
            ),
            "max_requests = 10_000; max_requests_jitter = 1_000",
        )),
        _ => None,
    }
}

fn threads(settings: &Settings, at_fork: Option<&AtFork>) -> Option<Finding> {
    if !shares(settings) {
        return None;
    }
    let in_workers = settings.threads > 1;
    let in_master = at_fork.filter(|at_fork| at_fork.threads > 1).map(|at_fork| at_fork.threads);
    let evidence = match in_master {
        Some(count) => format!(
            "the master ran {count} threads at the first fork; workers inherit their memory and locks, but only one thread"
        ),
        None if in_workers && at_fork.is_none() => format!(
            "worker_class = {}, threads = {}, preload_app = True: threads that the application starts at import stay in the master",
            settings.worker_class, settings.threads
        ),
        None => return None,
    };
    Some(told_by(at_fork)(
        "FP011",
        "Threads started at import do not reach the workers",
        &evidence,
        "def post_fork(server, worker): start the application's threads and connections here, not at import",
    ))
}

fn reload(settings: &Settings, _: Option<&AtFork>) -> Option<Finding> {
    settings.reload.then(|| {
        let evidence = if settings.preload_app {
            "reload = True with preload_app = True: a restarted worker forks the master's old code, so sharing and reloading exclude each other"
        } else {
            "reload = True: each worker watches and loads the application by itself, so nothing is shared"
        };
        read("FP012", "A development setting makes sharing moot", evidence, "reload = False")
    })
}

fn collector_off(settings: &Settings, at_fork: Option<&AtFork>) -> Option<Finding> {
    let calls = |name: &str| settings.config_gc_calls.iter().any(|call| call == name);
    if settings.implementation != "CPython" || !settings.preload_app || calls("enable") {
        return None;
    }
    let evidence = match at_fork {
        Some(AtFork { gc_enabled: true, .. }) => return None,
        Some(_) => {
            "gc.isenabled() was False in the master at the first fork, and the configuration does not call gc.enable()"
        }
        None if calls("disable") => "the configuration calls gc.disable() and not gc.enable()",
        None => return None,
    };
    Some(told_by(at_fork)(
        "FP013",
        "Workers run without a garbage collector",
        &format!(
            "{evidence}: inherited pages stay shared, but reference cycles are never freed and fresh pages grow"
        ),
        "def post_fork(server, worker): import gc; gc.enable()",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration no rule objects to.
    fn sound() -> Settings {
        Settings {
            python: (3, 12, 1),
            implementation: "CPython".into(),
            gunicorn_version: "23.0.0".into(),
            wsgi_app: Some("shop:app".into()),
            workers: 4,
            worker_class: "sync".into(),
            threads: 1,
            preload_app: true,
            max_requests: 10_000,
            max_requests_jitter: 1_000,
            timeout: 30,
            graceful_timeout: 30,
            bind: vec!["127.0.0.1:8000".into()],
            chdir: "/srv".into(),
            reload: false,
            tls: false,
            protocol: "http".into(),
            dirty_workers: 0,
            raw_env_names: Vec::new(),
            config_gc_calls: vec!["freeze".into()],
            misspelled: Vec::new(),
            config_file: None,
            description: String::new(),
        }
    }

    fn codes(settings: &Settings, at_fork: Option<&AtFork>) -> Vec<String> {
        lint(settings, at_fork).into_iter().map(|finding| finding.code).collect()
    }

    fn codes_with(change: impl Fn(&mut Settings)) -> Vec<String> {
        let mut settings = sound();
        change(&mut settings);
        codes(&settings, None)
    }

    #[test]
    fn a_sound_configuration_has_no_findings() {
        assert!(codes(&sound(), None).is_empty());
        let at_fork = AtFork { frozen: true, gc_enabled: true, threads: 1 };
        assert!(codes(&sound(), Some(&at_fork)).is_empty());
    }

    #[test]
    fn preload_is_missed_only_where_several_workers_load() {
        assert_eq!(codes_with(|s| s.preload_app = false), ["FP001"]);
        assert!(codes_with(|s| (s.preload_app, s.workers) = (false, 1)).is_empty());
    }

    #[test]
    fn a_missing_freeze_is_told_by_the_text_or_by_the_master() {
        assert_eq!(codes_with(|s| s.config_gc_calls.clear()), ["FP002"]);
        assert!(
            codes_with(|s| (s.config_gc_calls, s.implementation) = (Vec::new(), "PyPy".into())).is_empty()
        );
        let mut settings = sound();
        settings.config_gc_calls.clear();
        let frozen_by_the_application = AtFork { frozen: true, gc_enabled: true, threads: 1 };
        assert!(codes(&settings, Some(&frozen_by_the_application)).is_empty());
        let never_called = AtFork { frozen: false, gc_enabled: true, threads: 1 };
        assert_eq!(codes(&sound(), Some(&never_called)), ["FP002"]);
    }

    #[test]
    fn workers_too_old_or_too_young_are_told() {
        assert_eq!(codes_with(|s| s.max_requests = 0), ["FP008"]);
        assert_eq!(codes_with(|s| s.max_requests = 20), ["FP008"]);
        assert!(codes_with(|s| s.max_requests = YOUNG).is_empty());
        assert_eq!(codes_with(|s| (s.max_requests, s.preload_app) = (0, false)), ["FP001"]);
    }

    #[test]
    fn threads_matter_when_they_are_left_in_the_master() {
        assert_eq!(codes_with(|s| s.threads = 8), ["FP011"]);
        let mut threaded = sound();
        threaded.threads = 8;
        let one = AtFork { frozen: true, gc_enabled: true, threads: 1 };
        assert!(codes(&threaded, Some(&one)).is_empty(), "the master was seen to have one thread");
        assert_eq!(codes(&sound(), Some(&AtFork { threads: 3, ..one })), ["FP011"]);
    }

    #[test]
    fn a_misspelled_setting_is_told_with_its_line() {
        let misspelled =
            |name: &str, line, meant: &str| Misspelled { name: name.into(), line, meant: meant.into() };
        let mut settings = sound();
        settings.misspelled.push(misspelled("wrokers", 3, "workers"));
        let [finding] = &lint(&settings, None)[..] else { panic!("one finding") };
        assert_eq!(finding.title, "Unknown setting 'wrokers', did you mean 'workers'?");
        assert!(finding.evidence.starts_with("'wrokers' in line 3: gunicorn 23.0.0"), "{}", finding.evidence);
        settings.misspelled.push(misspelled("TIMEOUT", 9, "timeout"));
        let [finding] = &lint(&settings, None)[..] else { panic!("one finding") };
        assert_eq!(finding.title, "2 unknown settings, did you mean 'workers', 'timeout'?");
    }

    #[test]
    fn what_only_the_configuration_says_is_told_as_such() {
        let unmeasured = |settings: &Settings, at_fork: Option<&AtFork>| -> Vec<(String, bool)> {
            let findings = lint(settings, at_fork).into_iter();
            findings.map(|found| (found.code, found.evidence.contains("not measured"))).collect()
        };
        let mut settings = sound();
        (settings.config_gc_calls, settings.max_requests, settings.threads) = (Vec::new(), 0, 8);
        let told = |codes: &[(&str, bool)]| -> Vec<(String, bool)> {
            codes.iter().map(|&(code, unmeasured)| (code.to_owned(), unmeasured)).collect()
        };
        let all = [("FP002", true), ("FP008", true), ("FP011", true)];
        assert_eq!(unmeasured(&settings, None), told(&all));
        let at_fork = AtFork { frozen: false, gc_enabled: true, threads: 3 };
        let some = [("FP002", false), ("FP008", true), ("FP011", false)];
        assert_eq!(unmeasured(&settings, Some(&at_fork)), told(&some));
    }

    #[test]
    fn reload_is_told_and_silences_what_it_makes_moot() {
        assert_eq!(codes_with(|s| s.reload = true), ["FP012"]);
        assert_eq!(codes_with(|s| (s.reload, s.preload_app) = (true, false)), ["FP012"]);
    }

    #[test]
    fn a_collector_left_off_is_told() {
        assert_eq!(codes_with(|s| s.config_gc_calls = vec!["disable".into()]), ["FP013"]);
        assert!(codes_with(|s| s.config_gc_calls = vec!["disable".into(), "enable".into()]).is_empty());
        let off = AtFork { frozen: false, gc_enabled: false, threads: 1 };
        assert_eq!(codes(&sound(), Some(&off)), ["FP013"]);
    }
}
