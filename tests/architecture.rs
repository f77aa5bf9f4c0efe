//! The house rules that a compiler does not check: which way imports point, where unsafe code may
//! stand, and how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The pipeline, from the ground up. A module imports only what stands on a lower floor.
const FLOORS: &[&[&str]] = &[
    &["error", "units", "variant"],
    &["interrupt", "family"],
    &["agent", "forecast"],
    &["kernel"],
    &["cpython", "observe", "capture", "report"],
    &["prepare"],
    &["runtimes", "servers", "explain"],
    &["supervisor"],
    &["record"],
    &["lab", "advise"],
    &["cli"],
    &["pyext"],
];

/// Where unsafe code may stand.
const UNSAFE: &[&str] =
    &["agent/library/", "kernel/", "cpython/lifecycle.rs", "runtimes/toy/", "prepare/", "pyext/"];

/// A file with more lines has more than one job.
const MAX_LINES: usize = 420;

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut pending, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                pending.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                found.push((relative(&root, &entry), fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the sources were found");
    found
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_string_lossy().into_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The first part of a path below `src`: the module a file belongs to.
fn module_of(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Modules named after `crate::`, outside of comments.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
        .filter(|module: &String| !module.is_empty())
        .collect()
}

#[test]
fn every_module_stands_on_a_floor() {
    let modules: BTreeSet<String> = sources().iter().map(|(path, _)| module_of(path).to_owned()).collect();
    let homeless: Vec<_> = modules
        .iter()
        .filter(|module| floor(module).is_none() && !["lib", "main"].contains(&module.as_str()))
        .collect();
    assert!(homeless.is_empty(), "no floor for {homeless:?}");
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    // The agent's library is a crate of its own: what it imports are its own modules.
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with("agent/library/")) {
        let module = module_of(&path);
        let Some(own) = floor(module) else { continue };
        for import in imports(&text).iter().filter(|import| *import != module) {
            if floor(import).is_some_and(|theirs| theirs >= own) {
                wrong.push(format!("{path} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stays_where_it_may_stand_and_says_why_it_is_sound() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !code.contains("unsafe {") && !code.contains("unsafe fn") && !code.contains("unsafe impl") {
                continue;
            }
            let allowed = UNSAFE.iter().any(|place| path.starts_with(place));
            let reasoned = lines[index.saturating_sub(12)..index].iter().any(|above| {
                let above = above.trim_start();
                above.starts_with("// SAFETY:") || above.starts_with("/// # Safety")
            });
            if !allowed || !reasoned {
                wrong.push(format!("{path}:{}", index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe code out of place, or without SAFETY:\n{}", wrong.join("\n"));
}

#[test]
fn files_have_one_job() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > MAX_LINES)
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "files of more than {MAX_LINES} lines:\n{}", long.join("\n"));
}
