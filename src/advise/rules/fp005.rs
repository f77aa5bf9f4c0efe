//! FP005: let the zygote do once what every worker does first.

use super::measured::Measured;
use super::{Change, Edit, Evidence, Judgement, Rule, Target, source};
use crate::family::breaks::{Break, Breaks};
use crate::family::cause::Cause;
use crate::family::recording::Step;
use crate::units::Bytes;

pub(super) static RULE: Rule = Rule {
    code: "FP005",
    title: "Warm up before the fork",
    summary: "Serves a few requests in the zygote, so that code is specialised and modules are imported once, and not written or loaded again in every worker.",
    caveats: &[
        "the application runs in the master: requests that open connections, start threads or change data must not be among them",
        "an exception in the warm-up keeps the server from starting",
        "on CPython 3.9 and 3.10 only imports and the application's own caches are warmed: no code is specialised",
    ],
    judge,
};

/// Code is specialised by its eighth call at the latest (`CPython` 3.11 to 3.13).
const ROUNDS: usize = 10;
/// So many paths warm up what is used most.
const MOST_PATHS: usize = 8;
/// What a first request makes anew and is worth making before the fork.
const LEAST_FRESH: Bytes = Bytes(1 << 20);

fn judge(evidence: &Evidence<'_>) -> Judgement {
    let seen = match Measured::witnessed(evidence) {
        Ok(measured) => first_uses(&measured),
        Err(why) => vec![Err(why)],
    };
    let mut reasons: Vec<String> = seen.iter().filter_map(|seen| seen.clone().ok()).collect();
    reasons.extend(fresh_at_first_request(evidence));
    if reasons.is_empty() {
        let whys: Vec<String> = seen.into_iter().filter_map(Result::err).collect();
        return Judgement::does_not(whys.join("; "));
    }
    let seen = reasons.join("; ");
    match evidence.target {
        Target::Gunicorn { settings, .. } if !settings.preload_app => {
            Judgement::does_not(format!("{seen}; but the master has no application to warm up (FP001)"))
        }
        Target::Gunicorn { .. } => {
            let lines = requests(evidence.paths);
            Judgement::applies(seen, Change::edit(Edit::Hook { signature: "when_ready(server)", lines }))
        }
        Target::Python { text, .. } => match calls(text) {
            lines if lines.is_empty() => Judgement::by_hand(seen),
            lines => Judgement::applies(seen, Change::edit(Edit::AtEnd { lines })),
        },
    }
}

/// Writes that happen when something is used for the first time.
fn first_uses(measured: &Measured<'_>) -> Vec<Result<String, String>> {
    let breaks = &measured.recording().breaks;
    // Those at the start of a worker, in step 0, are its server's own: no request warms them up.
    let lazy = |row: &Break| row.step > 0 && row.cause != Cause::Specialize && imports(breaks, row);
    let imports = measured.ranking().only(lazy);
    vec![measured.judge(Cause::Specialize), measured.judge_rows(&imports, "imports while they served")]
}

/// Whether a module was being imported.
fn imports(breaks: &Breaks, row: &Break) -> bool {
    breaks.stack(row.frame).any(|frame| {
        let function = breaks.functions.get(frame.function as usize);
        function.is_some_and(|function| function.file.starts_with("<frozen importlib"))
    })
}

/// What a worker made by its first request, where later ones made less.
fn fresh_at_first_request(evidence: &Evidence<'_>) -> Option<String> {
    let served: Vec<_> = evidence.recording.steps.iter().filter(|step| step.requests.is_some()).collect();
    let [ready, first, .., last] = &served[..] else { return None };
    // One request reaches one worker: the one that grew most.
    let after = |step: &Step| step.workers.iter().map(|worker| worker.fresh).max().unwrap_or(0);
    let (grown, later) = (after(first).checked_sub(after(ready))?, after(last).saturating_sub(after(first)));
    let grown_bytes = Bytes::of_pages(grown);
    (grown_bytes >= LEAST_FRESH && grown > later).then(|| {
        format!(
            "a worker made {grown_bytes} by '{}', and no more than {} in all requests after it",
            first.name,
            Bytes::of_pages(later)
        )
    })
}

/// Statements that serve requests in the master.
fn requests(paths: &[String]) -> Vec<String> {
    let shown = |path: &String| format!("{path:?}");
    let paths: Vec<String> = paths.iter().filter(|path| is_plain(path)).take(MOST_PATHS).map(shown).collect();
    let paths = if paths.is_empty() { "\"/\"".to_owned() } else { paths.join(", ") };
    [
        "from urllib.parse import unquote",
        "from wsgiref.util import setup_testing_defaults",
        "",
        "application = server.app.wsgi()",
        &format!("for target in [{paths}] * {ROUNDS}:"),
        "    path, _, query = target.partition(\"?\")",
        "    environ = {\"PATH_INFO\": unquote(path, \"latin-1\"), \"QUERY_STRING\": query}",
        "    setup_testing_defaults(environ)",
        "    body = application(environ, lambda status, headers, exc_info=None: lambda data: None)",
        "    try:",
        "        for _chunk in body:",
        "            pass",
        "    finally:",
        "        getattr(body, \"close\", lambda: None)()",
    ]
    .map(str::to_owned)
    .into()
}

/// Whether a path reads the same as a string of Rust and of Python.
fn is_plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_graphic())
}

/// Statements that call each step of a workload; the one that ends the interpreter is no use of it.
fn calls(text: &str) -> Vec<String> {
    let names: Vec<String> =
        source::steps(text).into_iter().filter(|step| !step.finalize).map(|step| step.name).collect();
    match names.len() {
        0 => Vec::new(),
        _ => names.into_iter().map(|name| format!("{name}()")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_the_load_are_requested_and_the_front_page_where_there_are_none() {
        let line = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            requests(&paths).into_iter().find(|line| line.starts_with("for target")).unwrap()
        };
        assert_eq!(line(&[]), "for target in [\"/\"] * 10:");
        assert_eq!(line(&["/a?b=1", "/\u{e4}"]), "for target in [\"/a?b=1\"] * 10:");
    }

    #[test]
    fn steps_are_called_but_for_the_one_that_ends_the_interpreter() {
        let text =
            "@forkprint.step\ndef one():\n  pass\n@forkprint.step(finalize=True)\ndef end():\n  pass\n";
        assert_eq!(calls(text), ["one()"]);
        assert!(calls("x = 1\n").is_empty());
    }
}
