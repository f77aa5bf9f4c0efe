//! FP012: workers that are not forked share nothing.

use super::{Change, Edit, Evidence, Judgement, Rule, Target, source};

pub(super) static RULE: Rule = Rule {
    code: "FP012",
    title: "Start workers by fork",
    summary: "Uses fork where spawn, forkserver or a reloader starts each worker from nothing: only forked workers share what was built before.",
    caveats: &[
        "fork in a process with threads is unsafe (FP011): spawn may have been chosen for that reason",
        "libraries with threads or devices of their own (CUDA, gRPC, macOS frameworks) must be started after the fork",
    ],
    judge,
};

/// Ways to choose how processes are started.
const CHOICES: [&str; 2] = ["set_start_method", "get_context"];
/// Ways that share nothing; forkserver forks, but from an empty process.
const UNSHARED: [&str; 2] = ["spawn", "forkserver"];

fn judge(evidence: &Evidence<'_>) -> Judgement {
    if let Some(finding) = evidence.lint(RULE.code) {
        let change = Change::edit(Edit::Set { name: "reload", value: "False".into() });
        return Judgement::applies(finding.evidence, change);
    }
    let Target::Python { text, .. } = evidence.target else {
        return Judgement::does_not("gunicorn forks its workers, and reload is off");
    };
    let Some((number, method)) = chosen(text) else {
        return Judgement::does_not("the source chooses neither spawn nor forkserver");
    };
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let forked = ['"', '\''].iter().fold(line.to_owned(), |line, quote| {
        line.replace(&format!("{quote}{method}{quote}"), &format!("{quote}fork{quote}"))
    });
    Judgement::applies(
        format!(
            "line {number} starts processes by {method}: each loads the program anew and inherits nothing (read in the source; what such processes hold is not measured)"
        ),
        Change::edit(Edit::Lines { first: number, last: number, lines: vec![forked] }),
    )
}

/// The first line that chooses a way which shares nothing.
fn chosen(text: &str) -> Option<(usize, &'static str)> {
    source::code(text).into_iter().find_map(|(number, line)| {
        let (_, argument) = CHOICES.iter().find_map(|choice| line.split_once(&format!("{choice}(")))?;
        let argument = argument.trim_start().trim_start_matches("method").trim_start_matches([' ', '=']);
        let method = argument.trim_start_matches(['"', '\'']);
        UNSHARED.into_iter().find(|unshared| method.starts_with(unshared)).map(|unshared| (number, unshared))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_chooses_is_found() {
        assert_eq!(
            chosen("import multiprocessing\nmultiprocessing.set_start_method('spawn')\n"),
            Some((2, "spawn"))
        );
        assert_eq!(chosen("ctx = get_context(method=\"forkserver\")\n"), Some((1, "forkserver")));
        assert_eq!(chosen("# set_start_method('spawn')\nset_start_method('fork')\n"), None);
        assert_eq!(chosen("\"\"\"set_start_method('spawn')\"\"\"\n"), None);
    }
}
