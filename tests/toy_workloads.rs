//! The toy workloads, in every way of running them, and programs that are wrong.

use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{AllocOrder, AtFork, GcPolicy, JitMode, ToyOptions, ToyRuntime};
use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;

#[derive(Clone, Default)]
struct Captured(Rc<RefCell<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        assert_no_page_is_writable_and_executable();
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn assert_no_page_is_writable_and_executable() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let both: Vec<&str> = maps
        .lines()
        .filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.contains("wx")))
        .collect();
    assert!(both.is_empty(), "{both:?}");
}

fn workloads() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/toy");
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn run(path: &Path, options: ToyOptions) -> String {
    let captured = Captured::default();
    let mut runtime = ToyRuntime::load_file(path, options, Box::new(captured.clone())).unwrap();
    runtime.prepare_fork().unwrap();
    for (step, name) in runtime.steps().into_iter().enumerate() {
        assert_no_page_is_writable_and_executable();
        runtime.run_step(step).unwrap_or_else(|failure| panic!("{name}: {}", failure.message));
    }
    assert!(runtime.notes().is_empty(), "{:?}", runtime.notes());
    let printed = captured.0.borrow().clone();
    String::from_utf8(printed).unwrap()
}

#[test]
fn workloads_print_the_same_in_every_way() {
    assert!(workloads().len() >= 11);
    for (number, path) in workloads().iter().enumerate() {
        let expected = run(path, ToyOptions::default());
        for (index, gc) in GcPolicy::ALL.iter().enumerate() {
            let options = way(number + index, *gc);
            assert_eq!(run(path, options.clone()), expected, "{} {options:?}", path.display());
        }
    }
}

/// Another code policy, order, preparation of the fork and stress of compiled code for each number, so that together the
/// workloads try each of them with each memory policy.
fn way(number: usize, gc: GcPolicy) -> ToyOptions {
    ToyOptions {
        gc,
        jit: JitMode::ALL[number % JitMode::ALL.len()],
        alloc: AllocOrder::ALL[number % AllocOrder::ALL.len()],
        at_fork: AtFork::ALL[number % AtFork::ALL.len()],
        hot_calls: [1, 3, 20, 100][number % 4],
        deopt_every: [0, 7][number % 2],
        ..ToyOptions::default()
    }
}

#[test]
fn workloads_say_what_happens_and_why() {
    for path in workloads() {
        let source = std::fs::read_to_string(&path).unwrap();
        let header = source.lines().take_while(|line| line.starts_with("//")).count();
        assert!(header >= 5, "{} needs a header comment", path.display());
    }
    let source = "// What it does.\n//\n// And why.\n\n// Not this.\nlet a = 1;";
    let runtime = ToyRuntime::load_source("t", source, ToyOptions::default()).unwrap();
    assert_eq!(runtime.description(), "What it does.\n\nAnd why.");
}

#[test]
fn regions_are_disjoint_and_named() {
    let path = workloads().into_iter().find(|path| path.ends_with("closures.toy")).unwrap();
    let runtime = ToyRuntime::load(&path, ToyOptions::default()).unwrap();
    let mut regions = runtime.regions();
    regions.sort_by_key(|region| region.start);
    let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
    for name in ["object heap", "mark bitmap", "hot code", "cold code", "inline-cache data", "vm stack"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start), "{regions:?}");
    assert!(regions.iter().all(|region| region.start % 4096 == 0 && region.end % 4096 == 0));
}

#[test]
fn the_interpreter_alone_compiles_nothing() {
    let options = ToyOptions { jit: JitMode::Off, hot_calls: 1, ..ToyOptions::default() };
    let runtime = ToyRuntime::load_source("t", "fn f() { } for i in 0..9 { f(); }", options).unwrap();
    assert_eq!((runtime.code_bytes_used(), runtime.compiled_functions()), (0, 0));
    assert!(runtime.regions().iter().all(|region| !region.name.ends_with("code")));
}

#[test]
fn wrong_programs_end_with_an_error_and_its_place() {
    for (source, place) in [
        ("let a = ;", "t:1:9"),
        ("\n\n  fn (", "t:3:6"),
        ("print(1) print(2);", "t:1:10"),
        ("let s = \"open", "t:1:9"),
        ("let a = 1;\nprint(b);", "t:2:7"),
        ("let a = [];\n\na[0];", "t:3:2"),
        ("fn f() { f(); } f();", "t:1:11"),
        ("let a = [1];\nwhile true { a = [a, a, a]; }", "t:2:18"),
    ] {
        for jit in [JitMode::Patch, JitMode::Off] {
            let options = ToyOptions { jit, heap_limit: 8 << 20, hot_calls: 1, ..ToyOptions::default() };
            let error = ToyRuntime::load_source("t", source, options).err().unwrap().to_string();
            assert!(error.contains(&format!("where: {place}\n")), "{source}: {error}");
        }
    }
}

#[test]
fn a_failing_step_says_where_and_the_next_one_still_runs() {
    let source = "let a = 1;\nstep bad { a = a / 0; }\nstep good { a = 2; assert a == 2; }";
    let mut runtime = ToyRuntime::load_source("t.toy", source, ToyOptions::default()).unwrap();
    assert_eq!(runtime.steps(), ["bad", "good"]);
    assert_eq!(runtime.run_step(0).unwrap_err().message, "t.toy:2:18: division by zero");
    assert_eq!(runtime.run_step(1), Ok(()));
    assert!(runtime.run_step(2).unwrap_err().message.contains("no step 2"));
}

#[test]
fn ten_megabytes_of_garbage_are_refused_without_a_crash() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap()
    };
    let words = ["fn ", "(", ")", "{", "}", "[", "]", "let ", "x", "=", ";", "if ", "1", "\"s\"", "+", "."];
    let mut garbage = String::new();
    while garbage.len() < 10 << 20 {
        garbage.push_str(words[random() % words.len()]);
    }
    let flat = format!("let a = [{}];", "1, ".repeat(3 << 20));
    let deep = "(".repeat(10 << 20);
    let open = format!("\"{}", "x".repeat(10 << 20));
    for source in [garbage, deep, open, "\u{1F980}".repeat(2 << 20)] {
        let error = ToyRuntime::load_source("t", &source, ToyOptions::default()).err().unwrap();
        assert!(error.to_string().contains("where: t:"), "{error}");
    }
    ToyRuntime::load_source("t", &flat, ToyOptions::default()).unwrap();
}

#[test]
fn files_that_cannot_be_read_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes.toy");
    let missing = ToyRuntime::load(&path, ToyOptions::default()).err().unwrap();
    assert!(missing.to_string().contains("No such file"), "{missing}");
    std::fs::write(&path, b"let a = 1;\n\xff\xfe").unwrap();
    let binary = ToyRuntime::load(&path, ToyOptions::default()).err().unwrap();
    assert!(binary.to_string().contains("line 2 is not UTF-8"), "{binary}");
}
