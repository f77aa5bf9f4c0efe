use super::*;
use std::process::Command;

fn source(text: &str) -> Source {
    Source::read(text.into(), Path::new("python3")).unwrap()
}

fn set(name: &'static str, value: &str) -> Edit {
    Edit::Set { name, value: value.into() }
}

fn hook(lines: &[&str]) -> Edit {
    Edit::Hook { signature: "when_ready(server)", lines: strings(lines) }
}

fn strings(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

/// What the hook of an edited configuration does, by running it: its own words and those added.
fn run(text: &str) -> String {
    let script = format!("said = []\n{text}\nwhen_ready('server')\nprint(*said)");
    let output = Command::new("python3").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_only_value_of_a_setting_is_replaced_where_it_stands() {
    for (before, after) in [
        ("a = 1\nworkers = 3  # three\nb = 2\n", "a = 1\nworkers = 8  # three\nb = 2\n"),
        ("workers = [\n    1,\n]\nb = 'ä'; c = 2", "workers = 8\nb = 'ä'; c = 2"),
        ("ä = 'ö'; workers: int = 1", "ä = 'ö'; workers: int = 8"),
        ("\u{feff}workers = 1\r\nb = 2\r\n", "\u{feff}workers = 8\r\nb = 2\r\n"),
    ] {
        assert_eq!(source(before).edited(&[set("workers", "8")]).unwrap(), after);
    }
}

#[test]
fn a_setting_that_is_set_nowhere_or_in_several_ways_is_set_at_the_end() {
    for before in [
        "",
        "a = 1",
        "workers = 1\nworkers = 2\n",
        "workers = 1\nif True:\n    workers = 2\n",
        "workers = other = 1\n",
        "workers = 1\nfrom os.path import *\n",
        "workers = 1\nimport os as workers\n",
        "for workers in (1, 2):\n    pass\n",
    ] {
        let after = source(before).edited(&[set("workers", "8")]).unwrap();
        assert!(after.starts_with(before) && after.ends_with("workers = 8\n"), "{after}");
    }
    let within_a_function = "def f():\n    workers = 1\nworkers = 2\n";
    let after = source(within_a_function).edited(&[set("workers", "8")]).unwrap();
    assert_eq!(after, "def f():\n    workers = 1\nworkers = 8\n");
}

#[test]
fn a_hook_keeps_what_it_did_in_whatever_way_it_is_defined() {
    for (before, said) in [
        ("", "new server"),
        ("def when_ready(server):\n    said.append('old')\n", "old new server"),
        ("def when_ready(server):\n\tif server:\n\t\tsaid.append('old')", "old new server"),
        ("def when_ready(server): said.append('old')\n", "old new server"),
        ("def when_ready(arbiter):\n    said.append('old')\n", "old new server"),
        (
            "def when_ready(server):\n    said.append('old')\n    if server:\n        return\n",
            "old new server",
        ),
        ("when_ready = lambda server: said.append('old')\n", "old new server"),
        (
            "def when_ready(server):\n    pass\ndef when_ready(server):\n    said.append('old')\n",
            "old new server",
        ),
        ("if not said:\n    def when_ready(server):\n        said.append('old')\n", "old new server"),
        ("if said:\n    def when_ready(server):\n        said.append('old')\n", "new server"),
        ("_own_when_ready = 1\nwhen_ready = lambda server: said.append('old')\n", "old new server"),
    ] {
        let after = source(before).edited(&[hook(&["said.append('new')", "said.append(server)"])]).unwrap();
        assert_eq!(run(&after), said, "{after}");
    }
}

#[test]
fn edits_of_several_rules_become_one_text() {
    let text = "import os\nworkers = 2\nrows = [1]\n";
    let edits = [
        set("preload_app", "True"),
        hook(&["import gc", "gc.freeze()"]),
        Edit::Lines { first: 3, last: 3, lines: strings(&["rows = (1,)", "more = rows"]) },
        hook(&["import gc", "gc.collect()"]),
        set("preload_app", "True"),
        Edit::AtEnd { lines: strings(&["import gc", "gc.freeze()"]) },
        Edit::AtEnd { lines: strings(&["import gc", "gc.collect()"]) },
    ];
    let after = source(text).edited(&edits).unwrap();
    assert_eq!(
        after,
        "import os\nworkers = 2\nrows = (1,)\nmore = rows\n\npreload_app = True\n\n\ndef when_ready(server):\n    import gc\n    gc.freeze()\n    gc.collect()\n\n\nimport gc\ngc.freeze()\ngc.collect()\n"
    );
}

#[test]
fn what_contradicts_itself_or_is_no_python_is_refused() {
    let source = source("rows = [\n    1,\n]\nb = 1\n");
    let lines = |first, last, text: &str| Edit::Lines { first, last, lines: strings(&[text]) };
    for (edits, why) in [
        (vec![set("a", "1"), set("a", "2")], "one sets a = 1, another a = 2"),
        (vec![lines(1, 3, "rows = 1"), set("rows", "()")], "edit the same lines"),
        (vec![lines(3, 5, "x")], "it has no lines 3 to 5"),
        (vec![lines(0, 1, "x")], "it has no lines 0 to 1"),
        (vec![lines(3, 3, "x = 1")], "no Python"),
        (vec![set("a", ")")], "no Python"),
    ] {
        let error = source.edited(&edits).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let error = Source::read("def f(:".into(), Path::new("python3")).unwrap_err().to_string();
    assert!(error.contains("cannot be edited"), "{error}");
}

#[test]
fn the_diff_is_one_that_patch_applies() {
    let before = "a = 1\nworkers = 2\nb = 3";
    let after = source(before).edited(&[set("workers", "4"), hook(&["pass"])]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("conf.py");
    std::fs::write(&file, before).unwrap();
    let diff = unified_diff("conf.py", before, &after);
    std::fs::write(folder.path().join("d.diff"), &diff).unwrap();
    let mut git = Command::new("git");
    git.args(["apply", "--unidiff-zero", "-p0", "d.diff"]).current_dir(folder.path());
    assert!(git.status().unwrap().success(), "{diff}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), after);
    assert_eq!(unified_diff("conf.py", before, before), "");
}
