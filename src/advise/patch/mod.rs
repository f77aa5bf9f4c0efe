//! Edits of a Python source, combined into one text: the user's own lines stay as they are.

mod lines;
mod structure;
#[cfg(test)]
mod tests;

use self::lines::Lines;
use self::structure::{How, Structure};
use super::rules::Edit;
use crate::error::{Error, Result};
use similar::TextDiff;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A source that edits are made to.
#[derive(Debug, Clone)]
pub struct Source {
    text: String,
    structure: Structure,
    python: PathBuf,
}

/// What is changed within the text, and what is added at its end.
#[derive(Debug, Default)]
struct Changes {
    within: Vec<(Range<usize>, String)>,
    settings: Vec<String>,
    hooks: Vec<Vec<String>>,
    at_end: Vec<String>,
}

impl Source {
    /// Has `python` parse a source. Fails where it is none.
    pub fn read(text: String, python: &Path) -> Result<Self> {
        let structure = Structure::of(&text, python)?;
        match &structure.error {
            Some(why) => Err(Error::new("the source cannot be edited").why(why)),
            None => Ok(Self { text, structure, python: python.to_owned() }),
        }
    }

    /// The text as it is.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with all edits made, in their order.
    ///
    /// Errors: two of them contradict each other, or the result is no Python.
    pub fn edited(&self, edits: &[Edit]) -> Result<String> {
        let lines = Lines::of(&self.text);
        let changes = self.changes(edits, &lines)?;
        let text = changes.applied_to(&self.text, lines.end_of_line)?;
        match Structure::of(&text, &self.python)?.error {
            Some(why) => Err(Error::new("the edited source is no Python").why(why)),
            None => Ok(text),
        }
    }

    fn changes(&self, edits: &[Edit], lines: &Lines<'_>) -> Result<Changes> {
        let mut changes = Changes::default();
        for (name, value) in settings(edits)? {
            match self.value_of(name, lines) {
                Some(place) => changes.within.push((place, value.to_owned())),
                None => changes.settings.push(format!("{name} = {value}")),
            }
        }
        for (signature, body) in hooks(edits) {
            self.hook(signature, &body, lines, &mut changes);
        }
        for edit in edits {
            match edit {
                Edit::AtEnd { lines: added } => extend(&mut changes.at_end, added),
                Edit::Lines { first, last, lines: new } => {
                    let place = lines.range(*first, *last).ok_or_else(|| {
                        Error::new("cannot edit the source").why(format!("it has no lines {first} to {last}"))
                    })?;
                    changes.within.push((place, new.join(lines.end_of_line)));
                }
                Edit::Set { .. } | Edit::Hook { .. } => {}
            }
        }
        Ok(changes)
    }

    /// Where the value of a setting stands, if the source sets it exactly once and always.
    fn value_of(&self, name: &str, lines: &Lines<'_>) -> Option<Range<usize>> {
        let mut bindings = self.structure.of_name(name);
        match (bindings.next(), bindings.next()) {
            (Some(How::Assignment { value }), None) if !self.structure.has_star_import() => {
                lines.span(*value)
            }
            _ => None,
        }
    }

    /// Adds statements to a hook: at the end of its body, or behind a call of the old one, or in a new one.
    fn hook(&self, signature: &str, body: &[String], lines: &Lines<'_>, changes: &mut Changes) {
        let (name, wanted) = parts(signature);
        let bindings: Vec<&How> = self.structure.of_name(name).collect();
        if let [How::Function { last, indent: Some(indent), parameters: Some(theirs), leaves_early: false }] =
            &bindings[..]
            && *theirs == wanted
            && let Some(end) = lines.end_of(*last)
        {
            let added = body.iter().map(|line| format!("{}{}", lines.end_of_line, indented(indent, line)));
            changes.within.push((end..end, added.collect()));
            return;
        }
        let mut function = Vec::new();
        let mut calls_old = None;
        if !bindings.is_empty() {
            let old = self.structure.unused(&format!("_own_{name}"));
            let certain = bindings.iter().any(|how| !matches!(how, How::Other { certain: false }));
            let value =
                if certain { name.to_owned() } else { format!("globals().get({name:?}, lambda *_: None)") };
            function.extend([format!("{old} = {value}"), String::new(), String::new()]);
            calls_old = Some(format!("{old}({})", wanted.join(", ")));
        }
        function.push(format!("def {signature}:"));
        function.extend(calls_old.iter().chain(body).map(|line| indented("    ", line)));
        changes.hooks.push(function);
    }
}

impl Changes {
    fn applied_to(mut self, text: &str, end_of_line: &str) -> Result<String> {
        self.within.sort_by_key(|(place, _)| (place.start, place.end));
        let mut result = String::with_capacity(text.len());
        let mut done = 0;
        for (place, new) in &self.within {
            if place.start < done {
                return Err(Error::new("the remedies contradict each other").why("they edit the same lines"));
            }
            result.push_str(&text[done..place.start]);
            result.push_str(new);
            done = place.end;
        }
        result.push_str(&text[done..]);
        let mut add = |lines: &[String], blank: usize| {
            if lines.is_empty() {
                return;
            }
            if !result.is_empty() && !result.ends_with('\n') {
                result.push_str(end_of_line);
            }
            let blank = if result.is_empty() { 0 } else { blank };
            result.push_str(&end_of_line.repeat(blank));
            for line in lines {
                result.extend([line.as_str(), end_of_line]);
            }
        };
        add(&self.settings, 1);
        self.hooks.iter().for_each(|hook| add(hook, 2));
        add(&self.at_end, if self.hooks.is_empty() { 1 } else { 2 });
        Ok(result)
    }
}

/// The settings of all edits, each once.
fn settings(edits: &[Edit]) -> Result<Vec<(&str, &str)>> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for edit in edits {
        let Edit::Set { name, value } = edit else { continue };
        match found.iter().find(|(earlier, _)| earlier == name) {
            Some((_, same)) if same == value => {}
            Some((_, other)) => {
                return Err(Error::new("the remedies contradict each other")
                    .why(format!("one sets {name} = {other}, another {name} = {value}")));
            }
            None => found.push((name, value)),
        }
    }
    Ok(found)
}

/// The hooks of all edits, each once with the statements of all.
fn hooks(edits: &[Edit]) -> Vec<(&str, Vec<String>)> {
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for edit in edits {
        let Edit::Hook { signature, lines } = edit else { continue };
        if let Some((_, body)) = found.iter_mut().find(|(earlier, _)| parts(earlier).0 == parts(signature).0)
        {
            extend(body, lines);
        } else {
            found.push((signature, lines.clone()));
        }
    }
    found
}

/// Adds statements, but imports that stand there already.
fn extend(body: &mut Vec<String>, lines: &[String]) {
    for line in lines {
        let import = line.starts_with("import ") || line.starts_with("from ");
        if !(import && body.contains(line)) {
            body.push(line.clone());
        }
    }
}

/// The name of a signature, and its parameters.
fn parts(signature: &str) -> (&str, Vec<&str>) {
    let (name, rest) = signature.split_once('(').unwrap_or((signature, ""));
    let parameters = rest.trim_end_matches(')').split(',').map(str::trim);
    (name, parameters.filter(|parameter| !parameter.is_empty()).collect())
}

fn indented(indent: &str, line: &str) -> String {
    if line.is_empty() { String::new() } else { format!("{indent}{line}") }
}

/// What was changed, as `patch` and people read it; empty where nothing was.
pub fn unified_diff(file: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    TextDiff::from_lines(before, after).unified_diff().context_radius(3).header(file, file).to_string()
}
