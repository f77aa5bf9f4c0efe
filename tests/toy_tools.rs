//! `forkprint toy`, and programs of several files.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use std::path::Path;
use tempfile::TempDir;

fn toy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forkprint"));
    command.arg("toy").args(arguments);
    command
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn run(folder: &TempDir, file: &str) -> assert_cmd::assert::Assert {
    toy(&[file]).current_dir(folder.path()).assert()
}

#[test]
fn expressions_are_answered_and_statements_run() {
    let typed = "let x = 5\nx * 2\nfn f(a) {\n  return {a: a, s: \"t\"};\n}\nf(3)\nlet x = x + 1\nx\nnil\n// no\n\n\"q\"\n";
    toy(&[])
        .write_stdin(typed)
        .assert()
        .success()
        .stdout("10\n{a: 3, s: \"t\"}\n6\n\"q\"\n")
        .stderr(is_empty());
}

#[test]
fn side_effects_happen_once_and_functions_see_new_values() {
    let typed = "print(\"once\")\nlet n = 0\nfn up() { n = n + 1; return n; }\nup()\nup()\nn = 40\nup()\n";
    toy(&[]).write_stdin(typed).assert().success().stdout("once\n1\n2\n41\n");
    // Hot enough to be compiled, and then called by what is typed later.
    let typed = "fn twice(a) { return 2 * a; }\nlet s = 0\nfor i in 0..5000 { s = s + twice(i); }\ns\nfn twice(a) { return a; }\ntwice(7)\n";
    toy(&[]).write_stdin(typed).assert().success().stdout("24995000\n7\n");
}

#[test]
fn errors_do_not_end_the_conversation() {
    let typed = "1 / 0\nlet y = ;\nlet z = nothing\nz\n1 + 1\nstep s {}\nlet a = 1; let a = 2;\na\n";
    let places = ["input 1:1:3", "input 2:1:9", "input 3:1:9", "input 4:1:1", "input 6:1:1", "input 7:1:12"];
    let told = toy(&[]).write_stdin(typed).assert().code(2).stdout("2\n");
    for place in places {
        told.get_output();
        assert!(String::from_utf8_lossy(&told.get_output().stderr).contains(place), "{place}");
    }
}

#[test]
fn commands_look_into_the_machine() {
    let typed = "fn f(a) { return a.x + 1; }\n:disassemble f\n:regions\n:gc\n:help\n:quit\nprint(1)\n";
    let shown = toy(&["--gc", "mark-bitmap"]).write_stdin(typed).assert().success();
    let wanted = ["r0.x", " + r", "object heap", "shared boxes", "objects alive", ":disassemble NAME"];
    for word in wanted {
        assert!(String::from_utf8_lossy(&shown.get_output().stdout).contains(word), "{word}");
    }
    shown.stdout(contains("\n1\n").not());
    toy(&[])
        .write_stdin(":what\n:disassemble g\n")
        .assert()
        .code(2)
        .stderr(contains("':what'").and(contains("'g'")));
    // What is no entry takes no number.
    toy(&[]).write_stdin("1\n\n:gc\n1/0\n").assert().code(2).stderr(contains("input 2:1:2"));
}

#[test]
fn a_session_imports_from_the_library_and_from_its_folder() {
    let folder = folder(&[("mine.toy", "print(\"read\"); fn f() { return 7; }")]);
    let typed = "import \"persistent_map\" as pm;\nlet m = pm.insert(nil, 1, \"one\")\npm.get(m, 1, nil)\nimport \"mine.toy\" as mine;\nimport \"mine.toy\" as again;\nagain.f()\nimport \"none.toy\" as none;\nmine.f()\n";
    let told = toy(&[]).current_dir(folder.path()).write_stdin(typed).assert().code(2);
    told.stdout("\"one\"\nread\n7\n7\n").stderr(contains("none.toy"));
}

#[test]
fn a_file_runs_with_its_steps_in_order() {
    let folder = folder(&[(
        "a.toy",
        "let n = [1]; step a { n[0] = 2; } step b in zygote { print(n, has_forked()); } step c { n[1]; }",
    )]);
    run(&folder, "a.toy")
        .code(2)
        .stdout("[2] false\n")
        .stderr(contains("step 'c' failed").and(contains("a.toy:1:90: the index 1 is outside")));
    toy(&["a.toy", "b.toy"]).assert().code(2).stderr(contains("one program"));
}

#[test]
fn modules_run_once_and_imports_first() {
    let folder = folder(&[
        (
            "main.toy",
            "import \"lib/a.toy\" as a;\nimport \"lib/b.toy\" as b;\nprint(\"main\", a.total(2), b.base.n);\na.count = a.count + 5;\nprint(a.seen(), a.of_b());\nstep s { let b = {base: 3}; print(b.base, a.count); }",
        ),
        (
            "lib/a.toy",
            "import \"b.toy\" as other;\nprint(\"a\");\nlet count = 1;\nfn total(n) { return n + other.base.n; }\nfn seen() { return count; }\nfn of_b() { return other.twice(count); }",
        ),
        ("lib/b.toy", "print(\"b\");\nlet base = {n: 40};\nfn twice(n) { return 2 * n; }"),
    ]);
    run(&folder, "main.toy").success().stdout("b\na\nmain 42 40\n6 12\n3 6\n");
}

#[test]
fn errors_name_the_file_they_are_in() {
    for (main, library, told) in [
        (
            "import \"l.toy\" as l;\nl.f();",
            "fn f() {\n  return 1 / 0;\n}",
            "where: l.toy:2:12\n  why:   division by zero",
        ),
        ("import \"l.toy\" as l;\nl.f();", "fn f() {\n  return x;\n}", "where: l.toy:2:10\n"),
        (
            "import \"l.toy\" as l;\nl.g();",
            "fn f() {}",
            "where: m.toy:2:2\n  why:   the module 'l' has no 'g'",
        ),
        ("import \"l.toy\" as l;\nl;", "fn f() {}", "where: m.toy:2:1\n  why:   'l' is a module"),
        (
            "import \"l.toy\" as l;\nl.f(1);",
            "fn f() {}",
            "where: m.toy:2:4\n  why:   the function takes 0 arguments",
        ),
        ("import \"l.toy\" as l;\nl.f = 1;", "fn f() {}", "'f' is a function and cannot be assigned to"),
        ("import \"l.toy\" as l;\nlet l = 1;", "", "where: m.toy:2:1\n  why:   'l' is defined already"),
        (
            "import \"l.toy\" as l;",
            "step s {}",
            "where: l.toy:1:1\n  why:   a step stands in the file that is run",
        ),
        ("\nimport \"x.toy\" as l;", "", "where: m.toy:2:1\n  why:   cannot read"),
        (
            "import \"balanced_tree\" as l;",
            "",
            "the library has no 'balanced_tree', only persistent_map, persistent_vector",
        ),
        ("import \"l.toy\" as l;", "let a = ;", "where: l.toy:1:9\n"),
        (
            "import \"l.toy\" as l;",
            "import \"m.toy\" as m;",
            "where: l.toy:1:1\n  why:   the imports go in a circle: m.toy imports l.toy imports m.toy",
        ),
    ] {
        let folder = folder(&[("m.toy", main), ("l.toy", library)]);
        let shown = run(&folder, "m.toy").code(2);
        let error = String::from_utf8_lossy(&shown.get_output().stderr).replace("./", "");
        assert!(error.contains(told), "{told}\n{error}");
    }
    toy(&[]).write_stdin("1").assert().success();
}

#[test]
fn formatting_rewrites_checks_and_prints() {
    let folder = folder(&[("a.toy", "let a=1;"), ("b.toy", "let b = 2;\n"), ("bad.toy", "let a\n= ;")]);
    let format = |arguments: &[&str]| {
        let mut command = toy(&["--format"]);
        command.current_dir(folder.path()).args(arguments);
        command
    };
    let text = |name: &str| std::fs::read_to_string(Path::new(folder.path()).join(name)).unwrap();
    format(&["--check", "a.toy", "b.toy"]).assert().code(1).stderr("a.toy would change\n");
    assert_eq!(text("a.toy"), "let a=1;");
    format(&["a.toy", "b.toy"]).assert().success().stderr("formatted a.toy\n");
    assert_eq!(text("a.toy"), "let a = 1;\n");
    format(&["--check", "a.toy"]).assert().success();
    format(&["-"]).write_stdin("print( 1 );// c").assert().success().stdout("print(1); // c\n");
    format(&["bad.toy"]).assert().code(2).stderr(contains("bad.toy:2:3"));
    assert_eq!(text("bad.toy"), "let a\n= ;");
}

#[test]
fn bytecode_is_shown_readably() {
    let folder =
        folder(&[("a.toy", "let a = \"text\";\nfn f(n) { while n > 0 { n = n - 1; } return [a, {x: n}]; }")]);
    let shown = toy(&["--disassemble", "a.toy"]).current_dir(folder.path()).assert().success();
    let wanted = [
        "global a = ",
        "\"text\"",
        "f in a.toy: parameters 1",
        "unless r",
        "loop to 0",
        "new record {x}",
        "  2:",
    ];
    for word in wanted {
        assert!(String::from_utf8_lossy(&shown.get_output().stdout).contains(word), "{word}");
    }
}
