//! Simple looks at Python text, without an interpreter: comments and docstrings are left out.

/// A function that is marked as a step of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepFunction {
    pub name: String,
    /// Whether the interpreter is shut down at its end.
    pub finalize: bool,
    /// Line of the decorator, from 1.
    pub line: usize,
}

/// Lines of code with their numbers, from 1; comments and strings in three quotes are blank.
pub(super) fn code(text: &str) -> Vec<(usize, String)> {
    let mut open: Option<&str> = None;
    let blank = |(number, line): (usize, &str)| (number + 1, without_remarks(line, &mut open));
    text.lines().enumerate().map(blank).collect()
}

/// One line without comment and long strings; `open` is the quote of one that goes on.
fn without_remarks(line: &str, open: &mut Option<&'static str>) -> String {
    const LONG: [&str; 2] = ["\"\"\"", "'''"];
    let (mut kept, mut rest) = (String::new(), line);
    let mut quote: Option<char> = None;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        if let Some(end) = *open {
            if rest.starts_with(end) {
                (*open, taken) = (None, end.len());
            }
        } else if let Some(end) = quote {
            kept.push(next);
            if next == end {
                quote = None;
            } else if next == '\\'
                && let Some(escaped) = rest[taken..].chars().next()
            {
                kept.push(escaped);
                taken += escaped.len_utf8();
            }
        } else if let Some(begin) = LONG.into_iter().find(|begin| rest.starts_with(begin)) {
            (*open, taken) = (Some(begin), begin.len());
        } else if next == '#' {
            break;
        } else {
            quote = (next == '"' || next == '\'').then_some(next);
            kept.push(next);
        }
        rest = &rest[taken..];
    }
    kept
}

/// The first line of code that calls a function, by its end: `gc.freeze`, `set_start_method`.
pub(super) fn call(text: &str, function: &str) -> Option<usize> {
    let called = format!("{function}(");
    let calls = |line: &str| {
        line.match_indices(&called)
            .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
    };
    code(text).into_iter().find(|(_, line)| calls(line)).map(|(number, _)| number)
}

/// The functions that a workload marks with `@forkprint.step`.
pub(super) fn steps(text: &str) -> Vec<StepFunction> {
    let mut found = Vec::new();
    let mut marked: Option<(usize, bool)> = None;
    for (number, line) in code(text) {
        if line.starts_with("@forkprint.step") || line.starts_with("@step") {
            marked = Some((number, line.replace(' ', "").contains("finalize=True")));
        } else if let Some(name) = line.strip_prefix("def ").and_then(|rest| rest.split('(').next())
            && let Some((line, finalize)) = marked.take()
        {
            found.push(StepFunction { name: name.trim().to_owned(), finalize, line });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_docstrings_call_nothing() {
        let text = "\"\"\"gc.freeze() here\ngc.freeze()\n\"\"\"\n# gc.freeze()\nx = '#' + \"it\\\"s\"; gc.freeze()\n";
        assert_eq!(call(text, "gc.freeze"), Some(5));
        assert_eq!(call("mygc.freeze()\n", "gc.freeze"), None);
        assert_eq!(call("'''a''' ; gc.collect()", "gc.collect"), Some(1));
        assert_eq!(call("", "gc.freeze"), None);
    }

    #[test]
    fn steps_are_found_with_their_marks() {
        let text = "@forkprint.step\ndef one():\n    def inner(): pass\n\n@forkprint.step( finalize = True )\ndef two():\n    pass\n\ndef three(): pass\n";
        let step = |name: &str, finalize, line| StepFunction { name: name.into(), finalize, line };
        assert_eq!(steps(text), [step("one", false, 1), step("two", true, 5)]);
    }
}
